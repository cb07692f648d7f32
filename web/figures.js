// SPDX-License-Identifier: MIT
/**
 * figures: how the talk is doing, once a second, with honest names for what is measured and what is
 * only what a device says about itself.
 */

const element = (id) => document.getElementById(id);

const whole = (ms) => `${Math.round(ms)} ms`;

export class Figures {
    #cells = Object.fromEntries(
        ['latency', 'lag', 'drops', 'buffer'].map((name) => [name, element(`figure-${name}`)]));
    #parts = element('latency-parts');

    /**
     * @param {object} facts frameMs, deviceMs, roundTripMs or null, stats of the server or null,
     *     report of the speaker, outputMs, nUnsent
     */
    show(facts) {
        const { stats, report, nUnsent } = facts;
        const parts = latencyParts(facts);
        const totalMs = parts.reduce((sum, [, ms]) => sum + ms, 0);
        const isWhole = facts.roundTripMs !== null && stats !== null;
        this.#cells.latency.textContent = isWhole ? whole(totalMs) : '…';
        this.#cells.lag.textContent = stats ? whole(stats.lagMs ?? 0) : '…';
        this.#cells.drops.textContent = String(nUnsent + (stats?.inputDropped ?? 0));
        this.#cells.buffer.replaceChildren(`${whole(report.targetMs)} `, gaps(report.nMissed));
        this.#parts.replaceChildren(...parts.map(row));
    }

    clear() {
        for (const cell of Object.values(this.#cells))
            cell.textContent = '–';
        this.#parts.replaceChildren();
    }
}

/* What a sound passes through from mouth to ear. The server's lag runs from a frame's arrival to
 * its answer, so it holds the computing. What a sound waits for the end of its frame and what its
 * answer waits for its turn in its own frame is one frame together, wherever in the frame it is. */
function latencyParts({ frameMs, deviceMs, roundTripMs, stats, report, outputMs }) {
    return [
        ['microphone, as the device says', deviceMs],
        ['collecting one frame', frameMs],
        ['network there and back, measured', roundTripMs ?? 0],
        ['the model, measured: waiting and computing', stats?.lagMs || stats?.stepMs || 0],
        ['the model’s own delay of its sound', (stats?.delay ?? 0) * frameMs],
        ['jitter buffer, measured', report.aheadMs],
        ['loudspeaker, as the device says', outputMs],
    ];
}

function gaps(n) {
    const small = document.createElement('small');
    small.textContent = n === 0 ? '' : n === 1 ? '1 gap' : `${n} gaps`;
    return small;
}

function row([name, ms]) {
    const line = document.createElement('li');
    const figure = document.createElement('b');
    figure.textContent = whole(ms);
    line.append(figure, ` ${name}`);
    return line;
}

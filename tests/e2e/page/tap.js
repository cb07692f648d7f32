// SPDX-License-Identifier: MIT
/* Runs before the page: keeps a copy of every AUDIO_CHUNK that arrives and of every sample that
 * goes to the loudspeaker. The page itself knows nothing of it. */
window.tap = { received: [], played: [] };

(() => {
    const AUDIO_CHUNK = 0x10;
    const HEAD_BYTES = 17;

    window.WebSocket = class extends WebSocket {
        constructor(...args) {
            super(...args);
            this.addEventListener('message', ({ data }) => {
                if (data instanceof ArrayBuffer && new Uint8Array(data)[0] === AUDIO_CHUNK)
                    window.tap.received.push(new Float32Array(data.slice(HEAD_BYTES)));
            });
        }
    };

    /* A worklet loses nothing when the page's thread is busy. */
    const module = URL.createObjectURL(new Blob([`
        registerProcessor('tap', class extends AudioWorkletProcessor {
            process([[samples]]) {
                if (samples)
                    this.port.postMessage(samples.slice());
                return true;
            }
        });`], { type: 'text/javascript' }));
    const connect = AudioNode.prototype.connect;
    const recorders = new WeakMap();
    async function recorder(context) {
        await context.audioWorklet.addModule(module);
        const node = new AudioWorkletNode(context, 'tap', { numberOfOutputs: 0 });
        node.port.onmessage = ({ data }) => window.tap.played.push(data);
        return node;
    }
    AudioNode.prototype.connect = function (to, ...rest) {
        if (to instanceof AudioDestinationNode) {
            if (!recorders.has(this.context))
                recorders.set(this.context, recorder(this.context));
            recorders.get(this.context).then((node) => connect.call(this, node));
        }
        return connect.call(this, to, ...rest);
    };
})();

function joined(chunks) {
    const all = new Float32Array(chunks.reduce((n, chunk) => n + chunk.length, 0));
    let at = 0;
    for (const chunk of chunks) {
        all.set(chunk, at);
        at += chunk.length;
    }
    return all;
}

function rms(samples) {
    return Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / Math.max(1, samples.length));
}

/* Where a piece is loudest: the one sample that tells most places apart. */
function loudest(piece) {
    return piece.reduce((best, x, i) => (Math.abs(x) > Math.abs(piece[best]) ? i : best), 0);
}

/* Whether a piece was played from `at` on, to the last bit that a likeness of floats can show. */
function isAt(piece, pieceRms, played, at) {
    let dot = 0;
    let power = 0;
    for (let i = 0; i < piece.length; i++) {
        dot += piece[i] * played[at + i];
        power += played[at + i] ** 2;
    }
    const gain = Math.sqrt(power / piece.length) / pieceRms;
    return Math.abs(gain - 1) < 0.005 && dot / (pieceRms ** 2 * gain * piece.length) > 0.995;
}

function find(piece, played, from, to) {
    const pieceRms = rms(piece);
    const peak = loudest(piece);
    for (let at = Math.max(0, from); at < Math.min(to, played.length - piece.length); at++)
        if (Math.abs(played[at + peak] - piece[peak]) < 0.02 * Math.abs(piece[peak])
            && isAt(piece, pieceRms, played, at))
            return at;
    return -1;
}

/* Of the 20 ms pieces with a voice in them that the server sent, how many were heard, in their
 * order and as they were sent. Gaps push what follows back and cuts pull it forward, so each is
 * looked for around the place that follows from the one before it. */
window.tapCompare = () => {
    const PIECE = 480;
    const sent = joined(window.tap.received);
    const played = joined(window.tap.played);
    const pieces = [];
    for (let at = 0; at + PIECE <= sent.length; at += PIECE)
        pieces.push(sent.subarray(at, at + PIECE));
    const loud = Math.max(0, ...pieces.map(rms));
    const voiced = pieces.map((piece, i) => ({ piece, i }))
        .filter(({ piece }) => rms(piece) > loud / 4);
    let last = null;
    let nHeard = 0;
    for (const { piece, i } of voiced) {
        const due = last ? last.at + (i - last.i) * PIECE : 0;
        const at = last ? find(piece, played, Math.max(last.at + PIECE, due - 12000), due + 12000)
            : find(piece, played, 0, played.length);
        if (at < 0)
            continue;
        nHeard += 1;
        last = { i, at };
    }
    return { nHeard, nVoiced: voiced.length, loud, playedRms: rms(played) };
};

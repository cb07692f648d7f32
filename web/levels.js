// SPDX-License-Identifier: MIT
/**
 * levels: both voices as one line through the talk button. Sound leaves the button to either side,
 * yours to the left, Parley's to the right; now is at the button, the past at the edges. Whoever
 * wants no motion gets two still meters; whoever sees nothing gets two <meter>s.
 */

const PITCH_PX = 8;
const BAR_PX = 4;
const BAR_MS = 80;
const FLOOR_DB = -58;
const CEILING_DB = -10;
const METER_MS = 250;
const REST = 0.02;

/** The level of what an analyser hears, 0 to 1. @param {?AnalyserNode} analyser */
function level(analyser, samples) {
    if (!analyser)
        return 0;
    analyser.getFloatTimeDomainData(samples);
    let sum = 0;
    for (const sample of samples)
        sum += sample * sample;
    const db = 10 * Math.log10(sum / samples.length + 1e-12);
    return Math.min(1, Math.max(0, (db - FLOOR_DB) / (CEILING_DB - FLOOR_DB)));
}

/* One voice: its past as bars, newest first, and the loudest since the last bar. */
class Voice {
    #samples = new Float32Array(1024);
    analyser = null;
    bars = [];
    now = 0;
    #peak = 0;

    listen() {
        const heard = level(this.analyser, this.#samples);
        this.now = Math.max(heard, this.now * 0.86);
        this.#peak = Math.max(this.#peak, heard);
    }

    finishBar(room) {
        this.bars.unshift(this.#peak);
        this.bars.length = Math.min(this.bars.length, room);
        this.#peak = 0;
    }
}

export class Levels {
    #canvas;
    #paint;
    #button;
    #meters;
    #you = new Voice();
    #parley = new Voice();
    #still = matchMedia('(prefers-reduced-motion: reduce)');
    #barAtMs = 0;
    #meterAtMs = 0;
    #isRunning = false;

    /** @param {HTMLCanvasElement} canvas @param {HTMLElement} button it flows from
     *  @param {{you: HTMLMeterElement, parley: HTMLMeterElement}} meters */
    constructor(canvas, button, meters) {
        this.#canvas = canvas;
        this.#paint = canvas.getContext('2d');
        this.#button = button;
        this.#meters = meters;
        new ResizeObserver(() => this.#draw(0)).observe(canvas);
        matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#draw(0));
    }

    /** @param {AnalyserNode} you @param {AnalyserNode} parley */
    start(you, parley) {
        this.#you.analyser = you;
        this.#parley.analyser = parley;
        if (!this.#isRunning)
            requestAnimationFrame((ms) => this.#step(ms));
        this.#isRunning = true;
    }

    /** The line comes to rest by itself. */
    stop() {
        this.#you.analyser = this.#parley.analyser = null;
    }

    #step(ms) {
        this.#you.listen();
        this.#parley.listen();
        if (ms - this.#barAtMs > 10 * BAR_MS)
            this.#barAtMs = ms;
        while (ms - this.#barAtMs >= BAR_MS) {
            this.#barAtMs += BAR_MS;
            this.#you.finishBar(400);
            this.#parley.finishBar(400);
        }
        this.#showMeters(ms);
        this.#draw((ms - this.#barAtMs) / BAR_MS);
        this.#isRunning = Boolean(this.#you.analyser) || this.#isMoving();
        if (this.#isRunning)
            requestAnimationFrame((next) => this.#step(next));
        else
            this.#rest();
    }

    #isMoving() {
        return [this.#you, this.#parley].some((voice) =>
            voice.now > 0.01 || voice.bars.some((bar) => bar > REST));
    }

    #rest() {
        this.#you.bars = [];
        this.#parley.bars = [];
        this.#you.now = this.#parley.now = 0;
        this.#meters.you.value = this.#meters.parley.value = 0;
        this.#button.style.setProperty('--voice', '0');
        this.#draw(0);
    }

    #showMeters(ms) {
        if (!this.#still.matches)
            this.#button.style.setProperty('--voice', this.#parley.now.toFixed(3));
        if (ms - this.#meterAtMs < METER_MS)
            return;
        this.#meterAtMs = ms;
        this.#meters.you.value = this.#you.now;
        this.#meters.parley.value = this.#parley.now;
    }

    /* shift: how far, in bars, the past has moved on since the newest bar. */
    #draw(shift) {
        const { clientWidth: width, clientHeight: height } = this.#canvas;
        const scale = window.devicePixelRatio || 1;
        this.#canvas.width = Math.round(width * scale);
        this.#canvas.height = Math.round(height * scale);
        this.#paint.setTransform(scale, 0, 0, scale, 0, 0);
        const edge = this.#button.offsetWidth / 2 + 26;
        const style = getComputedStyle(this.#canvas);
        const resting = style.getPropertyValue('--rest');
        const colours = { resting, width, height, edge, shift };
        this.#side(this.#you, -1, { ...colours, colour: style.getPropertyValue('--you') });
        this.#side(this.#parley, 1, { ...colours, colour: style.getPropertyValue('--parley') });
        this.#paint.globalAlpha = 1;
    }

    #side(voice, direction, { width, height, edge, shift, colour, resting }) {
        const room = Math.ceil((width / 2 - edge) / PITCH_PX);
        const moves = !this.#still.matches;
        for (let i = 0; i < room; i++) {
            const reach = (i + (moves ? shift : 0)) / room;
            const value = moves ? voice.bars[i] ?? 0 : Number(voice.now * room > i) * 0.4;
            const tall = Math.max(BAR_PX, value * value * height * 0.8 * (1 - 0.55 * reach));
            const x = width / 2 + direction * (edge + reach * room * PITCH_PX);
            this.#paint.fillStyle = value > REST ? colour : resting;
            this.#paint.globalAlpha = Math.max(0, 1 - reach ** 2.2);
            this.#paint.beginPath();
            this.#paint.roundRect(x - BAR_PX / 2, (height - tall) / 2, BAR_PX, tall, BAR_PX / 2);
            this.#paint.fill();
        }
    }
}

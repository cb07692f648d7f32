// SPDX-License-Identifier: MIT
/**
 * resampler: a stream of samples from one rate to another, for browsers that refuse to run an
 * audio graph at the model's rate. Polyphase windowed sinc; equal rates pass through.
 */

const ZERO_CROSSINGS = 16;
const PASS_BAND = 0.94;

function gcd(a, b) {
    return b ? gcd(b, a % b) : a;
}

function sinc(x) {
    return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

function hann(x) {
    return Math.abs(x) >= 1 ? 0 : 0.5 + 0.5 * Math.cos(Math.PI * x);
}

/* The taps for an output sample that lies `fraction` after an input sample, their sum 1. */
function phaseTaps(fraction, half, cutoff) {
    const taps = Float32Array.from({ length: 2 * half }, (_, k) => {
        const distance = k - half + 1 - fraction;
        return sinc(distance * cutoff) * hann(distance / half);
    });
    const sum = taps.reduce((a, b) => a + b, 0);
    return taps.map((tap) => tap / sum);
}

export class Resampler {
    #up;
    #down;
    #half;
    #phases = [];
    #pending;
    #phase = 0;

    /** @param {number} fromHz @param {number} toHz whole numbers */
    constructor(fromHz, toHz) {
        const common = gcd(fromHz, toHz);
        this.#up = toHz / common;
        this.#down = fromHz / common;
        const cutoff = PASS_BAND * Math.min(1, toHz / fromHz);
        this.#half = Math.ceil(ZERO_CROSSINGS / cutoff);
        this.#pending = new Float32Array(this.#half - 1);
        for (let i = 0; i < this.#up; i++)
            this.#phases.push(phaseTaps(i / this.#up, this.#half, cutoff));
    }

    /** The samples that can be given now. @param {Float32Array} input @returns {Float32Array} */
    step(input) {
        if (this.#up === this.#down)
            return input;
        const held = new Float32Array(this.#pending.length + input.length);
        held.set(this.#pending);
        held.set(input, this.#pending.length);

        const output = [];
        let at = 0;
        while (at + 2 * this.#half <= held.length) {
            output.push(this.#sample(held, at));
            this.#phase += this.#down;
            at += Math.floor(this.#phase / this.#up);
            this.#phase %= this.#up;
        }
        this.#pending = held.slice(at);
        return Float32Array.from(output);
    }

    #sample(held, at) {
        const taps = this.#phases[this.#phase];
        let sum = 0;
        for (let k = 0; k < taps.length; k++)
            sum += taps[k] * held[at + k];
        return sum;
    }
}

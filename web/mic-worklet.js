// SPDX-License-Identifier: MIT
/**
 * mic-worklet: collects the microphone into whole codec frames. It posts nothing until it has been
 * told the model's rate and frame, so that a talk begins with a whole frame of fresh sound.
 */

import { Resampler } from './resampler.js';

class MicProcessor extends AudioWorkletProcessor {
    #resampler = null;
    #frame = null;
    #nHeld = 0;

    constructor() {
        super();
        this.port.onmessage = ({ data }) => this.#configure(data);
    }

    /* {rateHz, frameSamples}, or null to stop posting. */
    #configure(format) {
        this.#frame = format && new Float32Array(format.frameSamples);
        this.#resampler = format && new Resampler(sampleRate, format.rateHz);
        this.#nHeld = 0;
    }

    process([channels]) {
        if (this.#frame && channels.length)
            this.#take(this.#resampler.step(channels[0]));
        return true;
    }

    #take(samples) {
        for (const sample of samples) {
            this.#frame[this.#nHeld++] = sample;
            if (this.#nHeld === this.#frame.length)
                this.#post();
        }
    }

    #post() {
        const full = this.#frame;
        this.#frame = new Float32Array(full.length);
        this.#nHeld = 0;
        this.port.postMessage(full, [full.buffer]);
    }
}

registerProcessor('parley-mic', MicProcessor);

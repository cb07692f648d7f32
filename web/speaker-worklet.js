// SPDX-License-Identifier: MIT
/**
 * speaker-worklet: plays the frames that are posted to it through a jitter buffer, and reports ten
 * times a second how that goes.
 */

import { JitterBuffer } from './jitter.js';
import { Resampler } from './resampler.js';

const REPORT_MS = 100;

class SpeakerProcessor extends AudioWorkletProcessor {
    #jitter = null;
    #resampler = null;
    #format = {};
    #nUntilReport = 0;

    constructor() {
        super();
        this.port.onmessage = ({ data }) => this.#onMessage(data);
    }

    /* Samples to play, or {rateHz, frameSamples, extraMs} of what will come. */
    #onMessage(data) {
        if (data instanceof Float32Array)
            this.#jitter?.push(this.#resampler.step(data));
        else
            this.#configure(data);
    }

    /* A new connection of the same format keeps what the queue has learned. */
    #configure({ rateHz, frameSamples, extraMs }) {
        if (this.#format.rateHz === rateHz && this.#format.frameSamples === frameSamples)
            return;
        this.#format = { rateHz, frameSamples };
        this.#resampler = new Resampler(rateHz, sampleRate);
        this.#jitter = new JitterBuffer(sampleRate,
                                        Math.round(frameSamples * sampleRate / rateHz), extraMs);
    }

    process(_, [[out]]) {
        this.#jitter?.pull(out);
        this.#nUntilReport -= out.length;
        if (this.#jitter && this.#nUntilReport <= 0) {
            this.#nUntilReport = sampleRate * REPORT_MS / 1000;
            this.port.postMessage(this.#jitter.report());
        }
        return true;
    }
}

registerProcessor('parley-speaker', SpeakerProcessor);

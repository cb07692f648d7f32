// SPDX-License-Identifier: MIT
/**
 * speaker: the audio graph of a talk and the model's voice in it.
 */

/* What the last talk learned about this network: the next one need not stumble into it again. */
let extraMs;

export class Speaker {
    #node;

    /** The graph; the microphone joins it where the browser can. @type {AudioContext} */
    context;
    /** Reads the level. @type {AnalyserNode} */
    analyser;
    /** The jitter buffer's last report. */
    report = { targetMs: 0, extraMs: 0, aheadMs: 0, cutMs: 0, nMissed: 0 };

    /** Call it from a click or a key, or the browser keeps silent. @param {number} rateHz */
    static async open(rateHz) {
        const speaker = new Speaker(new AudioContext({ sampleRate: rateHz,
                                                       latencyHint: 'interactive' }));
        try {
            await speaker.#connect();
        } catch (error) {
            speaker.close();
            throw error;
        }
        return speaker;
    }

    constructor(context) {
        this.context = context;
    }

    async #connect() {
        await this.context.audioWorklet.addModule('speaker-worklet.js');
        this.#node = new AudioWorkletNode(this.context, 'parley-speaker',
                                          { numberOfInputs: 0, outputChannelCount: [1] });
        this.#node.port.onmessage = ({ data }) => {
            this.report = data;
            extraMs = data.extraMs;
        };
        this.analyser = new AnalyserNode(this.context, { fftSize: 1024 });
        this.#node.connect(this.analyser);
        this.#node.connect(this.context.destination);
    }

    /** What play() will be given. @param {{rateHz: number, frameSamples: number}} format */
    start(format) {
        /* Some browsers allow sound only once the microphone is on. */
        this.context.resume();
        this.#node.port.postMessage({ ...format, extraMs });
    }

    /** @param {Float32Array} samples yours no more */
    play(samples) {
        this.#node.port.postMessage(samples, [samples.buffer]);
    }

    /** Delay between the graph and the ear, as far as the browser knows it. */
    get outputMs() {
        return ((this.context.outputLatency || 0) + (this.context.baseLatency || 0)) * 1000;
    }

    close() {
        this.context.close();
    }
}

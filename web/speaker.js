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

    /**
     * Call it after a click or a key, or the browser keeps silent.
     * @param {number} rateHz
     * @param {() => void} onState sound has stopped or goes on, whoever wanted it so
     */
    static async open(rateHz, onState) {
        const speaker = new Speaker(new AudioContext({ sampleRate: rateHz,
                                                       latencyHint: 'interactive' }));
        try {
            await speaker.#connect();
            speaker.context.onstatechange = onState;
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
        /* The microphone's too: once the browser asks for it, all that comes from the server is
         * here. */
        for (const module of ['speaker-worklet.js', 'mic-worklet.js'])
            await this.context.audioWorklet.addModule(module);
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

    get isRunning() {
        return this.context.state === 'running';
    }

    /** Harmless where nothing had stopped. */
    resume() {
        if (!this.isRunning)
            this.context.resume().catch(() => {});
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
        this.context.onstatechange = null;
        this.context.close();
    }
}

// SPDX-License-Identifier: MIT
/**
 * microphone: from permission to whole codec frames. What can go wrong is said in words.
 */

/** Why there is no microphone, as the page says it. */
export class MicrophoneError extends Error {
    /** @param {string} headline what happened @param {string} advice what to do */
    constructor(headline, advice) {
        super(headline);
        this.advice = advice;
    }
}

/* Parley hears itself through open loudspeakers, so the echo must go. The browser's gain control
 * drives clear speech into clipping and its noise suppression eats the ends of words: with either,
 * tiny-voice took "three plus four" for another sum in half of a few tries, without them in none of
 * four. */
const CONSTRAINTS = {
    audio: { echoCancellation: true, noiseSuppression: false, autoGainControl: false,
             channelCount: 1 },
};

/* Error name of getUserMedia: what happened, what to do. */
const REASONS = {
    NotAllowedError: ['Your browser keeps the microphone to itself.',
                      'Allow it in the site settings, left of the address, then press Talk again.'],
    NotFoundError: ['No microphone was found.',
                    'Plug one in or switch it on, then press Talk again.'],
    NotReadableError: ['The microphone is busy or switched off.',
                       'Close the program that uses it, then press Talk again.'],
};

const INSECURE = () => new MicrophoneError(
    'On this address the browser gives no microphone.',
    'Browsers allow it only over https or on the machine itself: open Parley at '
    + `http://localhost:${location.port || 80}/ there, or serve it over https.`);

/** True where a browser can give a microphone at all. */
export function isMicrophonePossible() {
    return Boolean(navigator.mediaDevices?.getUserMedia && window.AudioWorkletNode);
}

/** Why isMicrophonePossible() is false. */
export function microphoneObstacle() {
    return INSECURE();
}

export class Microphone {
    #stream;
    #context;
    #ownsContext;
    #node;

    /** Reads the level. @type {AnalyserNode} */
    analyser;
    /** What the device says about its own delay. */
    deviceMs;

    /**
     * Asks for the microphone and connects it; throws MicrophoneError. Only where
     * isMicrophonePossible().
     * @param {AudioContext} context the graph to live in where the browser can; it has the
     *     module mic-worklet.js
     * @param {{onFrame: (samples: Float32Array) => void, onGone: () => void}} handlers
     */
    static async open(context, handlers) {
        const stream = await navigator.mediaDevices.getUserMedia(CONSTRAINTS).catch((error) => {
            const [headline, advice] = REASONS[error.name]
                ?? [`The microphone did not start: ${error.message}.`, 'Press Talk to try again.'];
            throw new MicrophoneError(headline, advice);
        });
        const microphone = new Microphone(stream, context);
        try {
            await microphone.#connect(handlers);
        } catch (error) {
            microphone.close();
            throw error;
        }
        return microphone;
    }

    constructor(stream, context) {
        this.#stream = stream;
        this.#context = context;
        this.deviceMs = (stream.getAudioTracks()[0].getSettings().latency ?? 0) * 1000;
    }

    async #connect({ onFrame, onGone }) {
        const source = this.#source();
        if (this.#ownsContext)
            await this.#context.audioWorklet.addModule('mic-worklet.js');
        this.#node = new AudioWorkletNode(this.#context, 'parley-mic',
                                          { numberOfOutputs: 0, channelCount: 1,
                                            channelCountMode: 'explicit' });
        this.#node.port.onmessage = ({ data }) => onFrame(data);
        this.analyser = new AnalyserNode(this.#context, { fftSize: 1024 });
        source.connect(this.#node);
        source.connect(this.analyser);
        this.#stream.getAudioTracks()[0].onended = onGone;
    }

    /* Firefox refuses a graph whose rate differs from the microphone's: then it gets its own, at
     * the device's rate, and the worklet resamples. */
    #source() {
        try {
            return this.#context.createMediaStreamSource(this.#stream);
        } catch {
            this.#context = new AudioContext();
            this.#ownsContext = true;
            return this.#context.createMediaStreamSource(this.#stream);
        }
    }

    /** Frames flow from here on. @param {{rateHz: number, frameSamples: number}} format */
    start(format) {
        this.#node.port.postMessage(format);
    }

    /** No frames until the next start. */
    pause() {
        this.#node.port.postMessage(null);
    }

    close() {
        for (const track of this.#stream.getTracks()) {
            track.onended = null;
            track.stop();
        }
        if (this.#ownsContext)
            this.#context.close();
    }
}

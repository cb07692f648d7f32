// SPDX-License-Identifier: MIT
/**
 * link: one connection to /packet, from dialling to its end. Whoever wants another opens another.
 */

import {
    ACK, AUDIO_CHUNK, HEARTBEAT, METADATA, TEXT_FINAL, TEXT_PARTIAL,
    ackRead, ackWrite, metadataRead, metadataWrite, packetRead, packetWrite, samplesRead,
    samplesWrite,
} from './packet.js';

const DIAL_LIMIT_MS = 5000;
const HEARTBEAT_MS = 5000;
const STATS_MS = 2000;
/* The server sends a heartbeat every 5 s: two missed ones mean that nobody is there. */
const SILENCE_LIMIT_MS = 11000;
/* Unsent audio beyond this is older than anyone wants to hear: drop the frame and count it. */
const UNSENT_LIMIT_FRAMES = 16;

/**
 * @typedef {object} LinkHandlers
 * @property {(settings: object) => void} onReady     acknowledged: audio may flow
 * @property {(samples: Float32Array) => void} onAudio
 * @property {(piece: string) => void} onPiece        a piece of a word, with its blanks
 * @property {(sentence: string) => void} onSentence  a sentence is complete
 * @property {(metadata: object) => void} onMetadata  everything else the server says
 * @property {(fact: {wasReady: boolean, code: number}) => void} onEnd  once, however it ends
 */

export class Link {
    #socket;
    #handlers;
    #sequence = 0;
    #settings = null;
    #isReady = false;
    #isOver = false;
    #heardAtMs = performance.now();
    #asked = null;
    #timers = [];

    /** Frames that could not be sent because the network was behind. */
    nUnsent = 0;
    /** Round trip of the last acknowledged packet. */
    roundTripMs = null;

    /** @param {string} url @param {LinkHandlers} handlers */
    constructor(url, handlers) {
        this.#handlers = handlers;
        this.#socket = new WebSocket(url);
        this.#socket.binaryType = 'arraybuffer';
        this.#socket.onmessage = ({ data }) => this.#onMessage(data);
        this.#socket.onclose = ({ code }) => this.#end(code);
        this.#timers = [
            setTimeout(() => this.#isReady || this.#end(0), DIAL_LIMIT_MS),
            setInterval(() => this.#keepAlive(), HEARTBEAT_MS),
            setInterval(() => this.#askStats(), STATS_MS),
            setInterval(() => this.#watch(), 1000),
        ];
    }

    /** Hangs up; onEnd is not called. */
    close() {
        this.#isOver = true;
        this.#release();
    }

    /** Sends one frame from the microphone. @param {Float32Array} samples */
    sendAudio(samples) {
        if (!this.#isReady)
            return;
        if (this.#socket.bufferedAmount > UNSENT_LIMIT_FRAMES * samples.length * 4)
            this.nUnsent += 1;
        else
            this.#send(AUDIO_CHUNK, samplesWrite(samples));
    }

    #release() {
        for (const timer of this.#timers)
            clearInterval(timer);
        this.#socket.onmessage = this.#socket.onclose = null;
        this.#socket.close(1000);
    }

    #end(code) {
        if (this.#isOver)
            return;
        this.#isOver = true;
        this.#release();
        this.#handlers.onEnd({ wasReady: this.#isReady, code });
    }

    #send(type, payload, wantsAck = false) {
        const sequence = this.#sequence++;
        this.#socket.send(packetWrite({ type, sequence, payload, wantsAck }));
        return sequence;
    }

    #keepAlive() {
        if (this.#isReady)
            this.#send(HEARTBEAT);
    }

    /* The server acknowledges before it does anything else, so this times the network alone. */
    #askStats() {
        if (!this.#isReady)
            return;
        const sequence = this.#send(METADATA, metadataWrite({ type: 'stats_request' }), true);
        this.#asked = { sequence, atMs: performance.now() };
    }

    #watch() {
        if (performance.now() - this.#heardAtMs > SILENCE_LIMIT_MS)
            this.#end(0);
    }

    #onMessage(data) {
        this.#heardAtMs = performance.now();
        const packet = data instanceof ArrayBuffer ? packetRead(data) : null;
        if (!packet)
            return;
        if (packet.wantsAck)
            this.#send(ACK, ackWrite(packet.sequence));
        this.#onPacket(packet);
    }

    #onPacket({ type, payload }) {
        switch (type) {
        case AUDIO_CHUNK: {
            const samples = samplesRead(payload);
            if (samples)
                this.#handlers.onAudio(samples);
            break;
        }
        case TEXT_PARTIAL:
            this.#handlers.onPiece(new TextDecoder().decode(payload));
            break;
        case TEXT_FINAL:
            this.#handlers.onSentence(new TextDecoder().decode(payload));
            break;
        case ACK:
            this.#onAck(ackRead(payload));
            break;
        case METADATA:
            this.#onMetadata(metadataRead(payload));
            break;
        }
    }

    #onAck(sequence) {
        if (this.#asked?.sequence !== sequence)
            return;
        this.roundTripMs = performance.now() - this.#asked.atMs;
        this.#asked = null;
    }

    #onMetadata(metadata) {
        if (metadata.type === 'connection_established')
            this.#introduce(metadata);
        else if (metadata.type === 'conversation_acknowledged')
            this.#begin();
        else
            this.#handlers.onMetadata(metadata);
    }

    #introduce(metadata) {
        const sampleRate = metadata.sampleRate ?? 24000;
        const frameSamples = metadata.frameSamples ?? 1920;
        this.#settings = { ...metadata, sampleRate, frameSamples };
        const config = { sampleRate, frameSamples, format: 'pcm_f32', text: 'pieces' };
        this.#send(METADATA, metadataWrite({ type: 'conversation_start', config }));
    }

    #begin() {
        if (this.#isReady || !this.#settings)
            return;
        this.#isReady = true;
        this.#askStats();
        this.#handlers.onReady(this.#settings);
    }
}

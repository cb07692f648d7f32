// SPDX-License-Identifier: MIT
/**
 * conversation: from a press of Talk to the end, through lost connections. One object a talk.
 */

import { Backoff } from './backoff.js';
import { Link } from './link.js';
import { Microphone, MicrophoneError } from './microphone.js';
import { readReadiness } from './readiness.js';
import { Speaker } from './speaker.js';

const LOADING_WAIT_MS = 1000;
const FIGURES_MS = 1000;

function packetUrl() {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    /* The key that a server may want stands in the page's own address, best after #: there no log
     * on the way sees it. */
    const key = [location.hash.slice(1), location.search]
        .map((text) => new URLSearchParams(text).get('key')).find(Boolean);
    return `${scheme}://${location.host}/packet${key ? `?key=${encodeURIComponent(key)}` : ''}`;
}

export class Conversation {
    #parts;
    #speaker = null;
    #microphone = null;
    #link = null;
    #frameMs = 80;
    #stats = null;
    #backoff = new Backoff();
    #hasTalked = false;
    #isOver = false;
    #waitTimer = 0;
    #figuresTimer = 0;

    /**
     * @param {object} parts view, transcript, levels, figures, and
     *     onOver() when it ends for another reason than stop()
     */
    constructor(parts) {
        this.#parts = parts;
    }

    /** Looks first whether the server could talk: the microphone is not asked for in vain. */
    async start() {
        this.#parts.view.show('connecting');
        const { state, sampleRate } = await readReadiness();
        if (state === 'degraded')
            this.#giveUp('degraded');
        else if (state === 'full')
            this.#giveUp('busy');
        if (!this.#isOver)
            await this.#openSound(sampleRate);
        if (this.#isOver) {
            this.#release();
            return;
        }
        this.#parts.levels.start(this.#microphone.analyser, this.#speaker.analyser);
        this.#figuresTimer = setInterval(() => this.#showFigures(), FIGURES_MS);
        this.#parts.view.show('connecting');
        this.#dial();
    }

    async #openSound(rateHz) {
        this.#parts.view.show('connecting', undefined, 'Your browser may ask for the microphone.');
        try {
            this.#speaker = await Speaker.open(rateHz);
            if (this.#isOver)
                return;
            this.#microphone = await Microphone.open(this.#speaker.context, {
                onFrame: (samples) => this.#link?.sendAudio(samples),
                onGone: () => this.#giveUp('denied', 'The microphone went away.',
                                           'Plug it in again, then press Talk.'),
            });
        } catch (error) {
            if (error instanceof MicrophoneError)
                this.#giveUp('denied', error.message, error.advice);
            else
                this.#giveUp('denied', 'The sound did not start.',
                             `${error.message} Press Talk to try again.`);
        }
    }

    /** The user has had enough. */
    stop() {
        this.#isOver = true;
        this.#release();
        this.#parts.view.show('idle');
    }

    /** Does not wait any longer before dialling again. */
    retryNow() {
        if (!this.#waitTimer || this.#isOver)
            return;
        clearTimeout(this.#waitTimer);
        this.#waitTimer = 0;
        this.#parts.view.showWait(null);
        this.#dial();
    }

    #dial() {
        this.#link = new Link(packetUrl(), {
            onReady: (settings) => this.#begin(settings),
            onAudio: (samples) => this.#hear(samples),
            onPiece: (piece) => this.#parts.transcript.addPiece(piece),
            onSentence: (sentence) => this.#parts.transcript.endSentence(sentence),
            onMetadata: (metadata) => this.#note(metadata),
            onEnd: () => this.#onEnd(),
        });
    }

    #begin({ sampleRate, frameSamples }) {
        const format = { rateHz: sampleRate, frameSamples };
        this.#frameMs = frameSamples * 1000 / sampleRate;
        this.#speaker.start(format);
        this.#microphone.start(format);
        if (this.#hasTalked)
            this.#parts.transcript.addNote('Connected again. Parley starts afresh.');
        this.#hasTalked = true;
        this.#parts.view.show('talking');
        this.#parts.view.showBanner(null);
    }

    #hear(samples) {
        this.#backoff.reset();
        this.#speaker.play(samples);
    }

    #note(metadata) {
        if (metadata.type === 'stats')
            this.#stats = metadata;
        else if (metadata.type === 'degraded')
            this.#parts.view.showBanner(`The model is in trouble: ${metadata.reason}`);
    }

    async #onEnd() {
        this.#link = null;
        this.#stats = null;
        this.#microphone.pause();
        this.#parts.transcript.endTurn();
        if (this.#hasTalked)
            this.#parts.view.show('lost');
        const readiness = await readReadiness();
        if (!this.#isOver)
            this.#react(readiness);
    }

    /* What to do about a connection that failed or broke, by what the server says of itself. */
    #react({ state }) {
        if (state === 'degraded')
            this.#giveUp('degraded');
        else if (state === 'full' && !this.#hasTalked)
            this.#giveUp('busy');
        else if (state === 'loading')
            this.#waitLoading();
        else if (state === 'unreachable')
            this.#waitLost('The server does not answer.',
                           'Is parley serve still running? A new talk begins when it is back.');
        else if (state === 'full')
            this.#waitLost('The connection is lost.', 'All places are taken for the moment.');
        else if (!this.#hasTalked)
            this.#waitLost('The connection failed.',
                           'If this server wants a key, put #key= and the key at the end of this '
                           + 'page’s address.');
        else
            this.#waitLost();
    }

    #waitLoading() {
        this.#parts.view.show(this.#hasTalked ? 'lost' : 'connecting', 'Parley is waking up.',
                              'The server is loading its model.');
        this.#wait(LOADING_WAIT_MS);
    }

    #waitLost(headline, advice) {
        this.#parts.view.show('lost', headline, advice);
        this.#wait(this.#backoff.next());
    }

    #wait(ms) {
        const dueMs = performance.now() + ms;
        const count = () => {
            const leftMs = dueMs - performance.now();
            if (leftMs <= 0)
                return this.retryNow();
            this.#parts.view.showWait(Math.ceil(leftMs / 1000));
            this.#waitTimer = setTimeout(count, Math.min(leftMs, 250));
        };
        count();
    }

    #giveUp(state, headline, advice) {
        if (this.#isOver)
            return;
        this.#isOver = true;
        this.#release();
        this.#parts.view.show(state, headline, advice);
        this.#parts.onOver();
    }

    #showFigures() {
        if (!this.#link || !this.#hasTalked)
            return;
        this.#parts.figures.show({
            frameMs: this.#frameMs,
            deviceMs: this.#microphone.deviceMs,
            roundTripMs: this.#link.roundTripMs,
            stats: this.#stats,
            report: this.#speaker.report,
            outputMs: this.#speaker.outputMs,
            nUnsent: this.#link.nUnsent,
        });
    }

    #release() {
        clearTimeout(this.#waitTimer);
        clearInterval(this.#figuresTimer);
        this.#waitTimer = 0;
        this.#link?.close();
        this.#microphone?.close();
        this.#speaker?.close();
        this.#link = this.#microphone = this.#speaker = null;
        this.#parts.levels.stop();
        this.#parts.figures.clear();
        this.#parts.transcript.endTurn();
    }
}

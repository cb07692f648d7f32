// SPDX-License-Identifier: MIT
/**
 * conversation: from a press of Talk to the end, through lost connections. One object a talk.
 */

import { Backoff } from './backoff.js';
import { Link } from './link.js';
import {
    Microphone, MicrophoneError, isMicrophonePossible, microphoneObstacle,
} from './microphone.js';
import { readReadiness } from './readiness.js';
import { Speaker } from './speaker.js';

const LOADING_WAIT_MS = 1000;
const FIGURES_MS = 1000;

/* What the browser itself escapes behind #: " < > ` and what is not ASCII. */
const ESCAPED = /%(?:22|3C|3E|60)|(?:%[89A-F][0-9A-F])+/g;

function unescaped(text) {
    try {
        return decodeURIComponent(text);
    } catch {
        return text;
    }
}

/**
 * The key that a server may want, out of the page's own address: best as #key=KEY, for what follows
 * # is in no log on the way. There it stands as in the key file, whatever it contains: + & # and
 * %41 mean themselves. In ?key=KEY it is escaped, as everywhere in a query.
 * @param {{hash: string, search: string}} address
 * @returns {?string}
 */
export function keyOf({ hash, search }) {
    if (hash.startsWith('#key=') && hash.length > 5)
        return hash.slice(5).replace(ESCAPED, unescaped);
    return new URLSearchParams(search).get('key');
}

function packetUrl() {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const key = keyOf(location);
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

    start() {
        this.#parts.view.show('connecting');
        this.#attempt();
    }

    /* Asks the browser for loudspeaker and microphone; both are there afterwards, or neither. */
    async #openSound(rateHz) {
        this.#parts.view.show('connecting', undefined, 'Your browser may ask for the microphone.');
        try {
            if (!isMicrophonePossible())
                throw microphoneObstacle();
            this.#speaker = await Speaker.open(rateHz, () => this.#onSoundState());
            if (!this.#isOver)
                this.#microphone = await Microphone.open(this.#speaker.context, {
                    onFrame: (samples) => this.#link?.sendAudio(samples),
                    onGone: () => this.#giveUp('denied', 'The microphone went away.',
                                               'Plug it in again, then press Talk.'),
                });
        } catch (error) {
            this.#closeSound();
            await this.#explain(error);
            return;
        }
        if (this.#isOver) {
            this.#closeSound();
            return;
        }
        this.#parts.levels.start(this.#microphone.analyser, this.#speaker.analyser);
        this.#figuresTimer = setInterval(() => this.#showFigures(), FIGURES_MS);
        this.#parts.view.show('connecting');
    }

    /* Why there is no sound. Its parts come from the server, too: when that has gone meanwhile, it
     * is waited for as for any other reason. */
    async #explain(error) {
        if (error instanceof MicrophoneError)
            this.#giveUp('denied', error.message, error.advice);
        else if ((await readReadiness()).state !== 'unreachable')
            this.#giveUp('denied', 'The sound did not start.',
                         `${error.message} Press Talk to try again.`);
    }

    #closeSound() {
        this.#microphone?.close();
        this.#speaker?.close();
        this.#microphone = this.#speaker = null;
    }

    /* A call on a telephone, or a browser in the background, can stop all sound for a while: the
     * connection lives on, and only the user can let it go on. */
    #onSoundState() {
        if (!this.#speaker || this.#parts.view.state !== 'talking')
            return;
        if (this.#speaker.isRunning)
            this.#parts.view.show('talking');
        else
            this.#parts.view.show('talking', 'The sound is paused.',
                                  'Touch the page or press a key to go on.');
    }

    /** The user is here: sound that was stopped may go on. */
    resumeSound() {
        this.#speaker?.resume();
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
        this.#parts.view.showWait(0);
        this.#attempt();
    }

    /* Asks before dialling: a refused handshake would be an error in the console, and one more
     * refused talk in the server's figures. Nor is the microphone asked for in vain. */
    async #attempt() {
        let readiness = await readReadiness();
        if (!this.#isOver && !this.#microphone && ['ready', 'loading'].includes(readiness.state)) {
            await this.#openSound(readiness.sampleRate);
            if (!this.#isOver)                          /* the user took the time that it takes */
                readiness = await readReadiness();
        }
        if (this.#isOver)
            return;
        this.#parts.view.showModel(readiness.model);
        if (readiness.state === 'ready' && this.#microphone)
            this.#dial();
        else
            this.#react(readiness);
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
        else
            this.#parts.transcript.clear();
        this.#hasTalked = true;
        this.#parts.view.show('talking');
        this.#parts.view.showWait(null);
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

    /* What to do while there is no connection, by what the server says of itself. After one that
     * failed or broke even a ready server is left alone for a while. */
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
        else if (state === 'draining')
            this.#waitLost('The server is shutting down.', 'A new talk begins when it is back.');
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
        this.#parts.view.showWait(null);
        this.#link?.close();
        this.#link = null;
        this.#closeSound();
        this.#parts.levels.stop();
        this.#parts.figures.clear();
        this.#parts.transcript.endTurn();
    }
}

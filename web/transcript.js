// SPDX-License-Identifier: MIT
/**
 * transcript: the model's words as they are spoken. A pause between sentences begins a new turn;
 * within a sentence it is a stall, for the server ends a sentence itself after a shorter pause.
 * While a sentence is under way the turn is marked busy, so that a screen reader waits for whole
 * sentences.
 */

const PAUSE_MS = 1600;
const TURNS_KEPT = 60;
const TURN_LENGTH = 2000;       /* characters, after which another begins: nobody has to pause */
const NEAR_PX = 40;             /* so near its end the log follows what is said */

export class Transcript {
    #log;
    #turn = null;
    #sentence = null;
    #length = 0;
    #saidAtMs = 0;
    #idle = 0;

    /** @param {HTMLElement} log */
    constructor(log) {
        this.#log = log;
    }

    /** A piece of a word with its blanks. @param {string} piece */
    addPiece(piece) {
        if (!piece)
            return;
        if (this.#length > TURN_LENGTH && piece.startsWith(' '))
            this.endTurn();
        this.#length += piece.length;
        const follows = this.#isAtEnd();
        this.#open();
        const word = document.createElement('span');
        word.className = 'word';
        word.textContent = piece;
        this.#sentence.append(word);
        this.#settle(follows);
    }

    /** A sentence is complete; pieces that fell on the way are mended. @param {string} sentence */
    endSentence(sentence) {
        const spoken = this.#sentence?.textContent.trim() ?? '';
        const follows = this.#isAtEnd();
        if (sentence.trim().length > spoken.length) {
            this.#open();
            this.#sentence.textContent = sentence;
        }
        this.#sentence = null;
        this.#settle(follows);
        this.#turn?.removeAttribute('aria-busy');
    }

    /** A remark of the page, not of the model. @param {string} text */
    addNote(text) {
        this.endTurn();
        const follows = this.#isAtEnd();
        const note = document.createElement('p');
        note.className = 'note';
        note.textContent = text;
        this.#log.append(note);
        this.#settle(follows);
    }

    /** Whatever comes next is another turn. */
    endTurn() {
        this.#turn?.removeAttribute('aria-busy');
        this.#turn = this.#sentence = null;
        this.#length = 0;
    }

    clear() {
        this.endTurn();
        this.#log.replaceChildren();
    }

    #open() {
        const now = performance.now();
        if (!this.#sentence && now - this.#saidAtMs > PAUSE_MS)
            this.endTurn();
        this.#saidAtMs = now;
        if (!this.#turn) {
            this.#turn = document.createElement('p');
            this.#turn.className = 'turn';
            this.#log.append(this.#turn);
        }
        if (!this.#sentence) {
            flatten(this.#turn.lastChild);
            this.#sentence = document.createElement('span');
            this.#turn.append(this.#sentence);
        }
        this.#turn.setAttribute('aria-busy', 'true');
    }

    /* Whoever has scrolled back to read is left where they are. */
    #isAtEnd() {
        const { scrollHeight, scrollTop, clientHeight } = this.#log;
        return scrollHeight - scrollTop - clientHeight < NEAR_PX;
    }

    #settle(follows) {
        while (this.#log.children.length > TURNS_KEPT)
            this.#log.firstChild.remove();
        if (follows)
            this.#log.scrollTop = this.#log.scrollHeight;
        clearTimeout(this.#idle);
        this.#idle = setTimeout(() => this.#turn?.removeAttribute('aria-busy'), PAUSE_MS);
    }
}

/* The words of a sentence that is over become one text: an hour has ten thousands of them. */
function flatten(sentence) {
    if (sentence)
        sentence.textContent = sentence.textContent;
}

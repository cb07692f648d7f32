// SPDX-License-Identifier: MIT
/**
 * view: the parts of the page that say how things stand: status, button, banner, model.
 */

import { states } from './states.js';

const element = (id) => document.getElementById(id);

export class View {
    #status = element('status');
    #headline = element('headline');
    #advice = element('advice');
    #wait = element('wait');
    #retry = element('retry');
    #button = element('talk');
    #banner = element('banner');
    #model = element('model');

    /** @param {{onTalk: () => void, onRetry: () => void}} handlers */
    constructor({ onTalk, onRetry }) {
        /* The second click of a double click would end what the first began. */
        this.#button.addEventListener('click', (event) => event.detail > 1 || onTalk());
        this.#retry.addEventListener('click', onRetry);
        document.addEventListener('keydown', (event) => this.#onKey(event));
        /* A key that is held down must not press twice, least of all what it did not aim at. */
        this.#button.addEventListener('keydown', (event) => event.repeat && event.preventDefault());
    }

    get state() {
        return this.#status.dataset.state;
    }

    /** Shows a state in its own words or better ones. @param {keyof states} state */
    show(state, headline = states[state].headline, advice = states[state].advice) {
        this.#status.dataset.state = state;
        setText(this.#headline, headline);
        setText(this.#advice, advice);
        setText(this.#button.querySelector('span'), states[state].button);
    }

    /**
     * Counts down to the next attempt. The button stays through the attempt, or the focus on it
     * would be lost and the next press of the space bar would end the talk.
     * @param {?number} seconds 0: it is under way; null: none is planned
     */
    showWait(seconds) {
        const hadFocus = document.activeElement === this.#retry;
        this.#retry.hidden = seconds === null;
        if (this.#retry.hidden && hadFocus)
            this.#button.focus({ preventScroll: true });
        setText(this.#wait, seconds === null ? ''
            : seconds === 0 ? 'Trying again' : `Trying again in ${seconds} s`);
    }

    /** @param {?string} text null: nothing to say */
    showBanner(text) {
        setText(this.#banner, text ?? '');
        this.#banner.hidden = !text;
    }

    /** @param {?string} name null: not known now; what was shown stays */
    showModel(name) {
        if (!name)
            return;
        const host = location.hostname;
        const isHere = ['localhost', '127.0.0.1', '[::1]'].includes(host);
        setText(this.#model, `${name} on ${isHere ? 'this machine' : host}`);
    }

    /* The space bar talks from anywhere but from what has a use of its own for it. */
    #onKey(event) {
        if (event.key !== ' ' || event.repeat || event.ctrlKey || event.altKey || event.metaKey)
            return;
        if (event.target.closest('input, textarea, select, summary, a, button, [contenteditable]'))
            return;
        event.preventDefault();
        this.#button.click();
    }
}

/* Equal text is left alone: a screen reader would read it again. */
function setText(node, text) {
    if (node.textContent !== text)
        node.textContent = text;
}

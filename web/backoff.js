// SPDX-License-Identifier: MIT
/**
 * backoff: how long to wait before dialling again: 0.5, 1, 2, 4, 8, 8 … seconds, each with up to
 * a fifth on top by chance, so that many pages do not come back in the same instant.
 */

const FIRST_MS = 500;
const LAST_MS = 8000;
const CHANCE = 0.2;

export class Backoff {
    #waitMs = FIRST_MS;

    /** The next wait in milliseconds. */
    next() {
        const waitMs = this.#waitMs * (1 + CHANCE * Math.random());
        this.#waitMs = Math.min(this.#waitMs * 2, LAST_MS);
        return waitMs;
    }

    reset() {
        this.#waitMs = FIRST_MS;
    }
}

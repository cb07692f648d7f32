// SPDX-License-Identifier: MIT
/**
 * jitter: the queue between frames that arrive when the network likes and a sound card that wants
 * 128 samples every few milliseconds.
 *
 * Playing starts once a whole frame is there plus an extra wait. Each time the queue runs dry the
 * wait grows by a step; after a calm while with sound to spare it shrinks by one. What piles up
 * beyond the allowance is lateness that must not stay: it is left out where the voice pauses, and
 * in the middle of a word only when it is very late. Starts, ends and cuts are ramped: a sudden
 * edge is a click.
 */

const STEP_MS = 5;
const EXTRA_MIN_MS = 10;
/* Browsers capture and play in pieces of 10 ms and more: with less a talk began with three gaps. */
const EXTRA_FIRST_MS = 30;
const EXTRA_MAX_MS = 80;
const ALLOWANCE_MAX_MS = 80;
/* Frames that come in bursts are not worth a cut word up to this. */
const LATE_MAX_MS = 400;
const QUIET = 0.01;
const CALM_MS = 10000;
/* Spare sound that must have been there all the calm while before a step is given back. */
const SPARE_MS = 12;
const ROOM_MS = 4000;
const RAMP_MS = 5;

export class JitterBuffer {
    #rate;
    #initial;
    #extra;
    #allowance;
    #ring;
    #at = 0;
    #level = 0;
    #wait = -1;             /* samples until playing starts; -1: not enough is here */
    #isPlaying = false;
    #isFresh = false;
    #isLate = false;
    #last = 0;
    #calm = 0;
    #low = Infinity;
    #ahead = 0;

    /** Times the queue ran dry while playing. */
    nMissed = 0;
    /** Samples cut because they came too late to matter. */
    nCut = 0;

    /** @param {number} rateHz @param {number} frameSamples at that rate
     *  @param {number} extraMs what an earlier talk has learned */
    constructor(rateHz, frameSamples, extraMs = EXTRA_FIRST_MS) {
        this.#rate = rateHz;
        this.#initial = frameSamples;
        this.#extra = this.#samples(extraMs);
        this.#allowance = this.#samples(EXTRA_MIN_MS);
        this.#ring = new Float32Array(this.#samples(ROOM_MS));
    }

    /** Frames arrive. @param {Float32Array} chunk */
    push(chunk) {
        this.#noteAhead();
        const room = this.#ring.length - this.#level;
        const n = Math.min(chunk.length, room);
        this.nCut += chunk.length - n;
        for (let i = 0; i < n; i++)
            this.#ring[(this.#at + this.#level + i) % this.#ring.length] = chunk[i];
        this.#level += n;
        if (!this.#isPlaying && this.#wait < 0 && this.#level >= this.#initial)
            this.#wait = this.#extra;
        this.#noteLate();
    }

    /** The sound card wants out.length samples now. @param {Float32Array} out */
    pull(out) {
        if (!this.#isPlaying && !this.#mayStart(out.length)) {
            out.fill(0);
            return;
        }
        this.#leaveOutPause();
        const n = Math.min(out.length, this.#level);
        for (let i = 0; i < n; i++)
            out[i] = this.#ring[(this.#at + i) % this.#ring.length];
        this.#drop(n);
        if (this.#isFresh)
            for (let i = 0; i < n; i++)
                out[i] *= (i + 1) / n;
        this.#isFresh = false;
        if (n)
            this.#last = out[n - 1];
        if (n < out.length)
            this.#runDry(out, n);
        else
            this.#stayCalm(n);
    }

    /** How things stand, in milliseconds and counts. */
    report() {
        return {
            targetMs: this.#ms(this.#initial + this.#extra),
            extraMs: this.#ms(this.#extra),
            aheadMs: this.#ms(this.#ahead),
            cutMs: this.#ms(this.nCut),
            nMissed: this.nMissed,
        };
    }

    /* What waits in front of a frame that arrives now, smoothed: its share of the delay. */
    #noteAhead() {
        const ahead = this.#isPlaying ? this.#level : this.#extra;
        this.#ahead += (ahead - this.#ahead) * 0.1;
    }

    #mayStart(n) {
        if (this.#wait < 0)
            return false;
        this.#wait -= n;
        if (this.#wait > 0)
            return false;
        this.#wait = -1;
        this.#isPlaying = this.#isFresh = true;
        this.#calm = 0;
        this.#low = Infinity;
        return true;
    }

    /* Frames are whole blocks, so nothing may be left to ramp down: lead the last value to zero. */
    #runDry(out, n) {
        const rest = out.length - n;
        for (let i = 0; i < rest; i++)
            out[n + i] = this.#last * (1 - (i + 1) / rest);
        this.#isPlaying = false;
        this.nMissed += 1;
        this.#extra = Math.min(this.#extra + this.#samples(STEP_MS), this.#samples(EXTRA_MAX_MS));
    }

    #stayCalm(n) {
        this.#low = Math.min(this.#low, this.#level);
        this.#calm += n;
        if (this.#calm < this.#samples(CALM_MS))
            return;
        const least = this.#samples(EXTRA_MIN_MS);
        if (this.#low > this.#samples(SPARE_MS) && this.#cut(this.#samples(STEP_MS)))
            this.#extra = Math.max(this.#extra - this.#samples(STEP_MS), least);
        this.#allowance = Math.max(this.#allowance - this.#samples(STEP_MS), least);
        this.#calm = 0;
        this.#low = Infinity;
    }

    #noteLate() {
        const target = this.#initial + this.#extra;
        if (this.#level <= target + this.#allowance)
            return;
        if (!this.#isLate)
            this.#allowance = Math.min(this.#allowance + this.#samples(STEP_MS),
                                       this.#samples(ALLOWANCE_MAX_MS));
        this.#isLate = true;
        if (this.#level > target + this.#samples(LATE_MAX_MS))
            this.#cut(this.#level - target);
    }

    #leaveOutPause() {
        const n = this.#samples(RAMP_MS);
        while (this.#isLate && this.#level > this.#initial + this.#extra && this.#isQuiet(n)) {
            this.#drop(n);
            this.nCut += n;
        }
        this.#isLate &&= this.#level > this.#initial + this.#extra;
    }

    #isQuiet(n) {
        for (let i = 0; i < n; i++)
            if (Math.abs(this.#ring[(this.#at + i) % this.#ring.length]) > QUIET)
                return false;
        return true;
    }

    /* Leaves out n samples, with a short cross-fade over the seam. */
    #cut(n) {
        const ramp = this.#samples(RAMP_MS);
        if (this.#level < n + ramp)
            return false;
        for (let i = 0; i < ramp; i++) {
            const share = (i + 1) / ramp;
            const before = (this.#at + i) % this.#ring.length;
            const after = (this.#at + n + i) % this.#ring.length;
            this.#ring[after] = this.#ring[before] * (1 - share) + this.#ring[after] * share;
        }
        this.#drop(n);
        this.nCut += n;
        return true;
    }

    #drop(n) {
        this.#at = (this.#at + n) % this.#ring.length;
        this.#level -= n;
    }

    #samples(ms) {
        return Math.round(ms * this.#rate / 1000);
    }

    #ms(samples) {
        return samples * 1000 / this.#rate;
    }
}

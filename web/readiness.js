// SPDX-License-Identifier: MIT
/**
 * readiness: could a talk start now, and if not, why.
 */

const LIMIT_MS = 4000;

/**
 * @typedef {object} Readiness
 * @property {'ready'|'loading'|'degraded'|'full'|'draining'|'unreachable'} state
 * @property {string} reason in the server's words, or empty
 * @property {?string} model
 * @property {number} sampleRate of the model
 */

/** Asks the server. Never throws. @returns {Promise<Readiness>} */
export async function readReadiness() {
    const health = await read('/health');
    if (!health)
        return { state: 'unreachable', reason: '', model: null, sampleRate: 24000 };
    /* /health answers 200 whatever the state, so the browser's console stays clean; /readyz says
     * the same with a status code, for load balancers and for servers that tell only there. */
    const answer = health.state ? health : await read('/readyz') ?? {};
    return {
        state: answer.state ?? (answer.ready === false ? 'degraded' : 'ready'),
        reason: answer.reason ?? '',
        model: health.model ?? null,
        sampleRate: health.sampleRate ?? 24000,
    };
}

/* The JSON at a path, {} when it is something else, null when nobody answers. */
async function read(path) {
    try {
        const response = await fetch(path, { cache: 'no-store',
                                             signal: AbortSignal.timeout(LIMIT_MS) });
        return await response.json().catch(() => ({}));
    } catch {
        return null;
    }
}

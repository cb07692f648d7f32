// SPDX-License-Identifier: MIT
/**
 * readiness: could a talk start now, and if not, why.
 */

const LIMIT_MS = 4000;
const DEFAULT_RATE_HZ = 24000;

/**
 * @typedef {object} Readiness
 * @property {'ready'|'loading'|'degraded'|'full'|'draining'|'unreachable'} state
 * @property {string} reason in the server's words, or empty
 * @property {?string} model
 * @property {number} sampleRate of the model
 */

/**
 * Asks the server. Never throws. /readyz says the same with a status of 503, which browsers write
 * to the console as an error; /health answers 200 whatever the state.
 * @returns {Promise<Readiness>}
 */
export async function readReadiness() {
    const health = await read('/health');
    if (!health)
        return { state: 'unreachable', reason: '', model: null, sampleRate: DEFAULT_RATE_HZ };
    return {
        state: health.state ?? 'ready',
        reason: health.reason ?? '',
        model: health.model || null,
        sampleRate: health.sample_rate || DEFAULT_RATE_HZ,
    };
}

/* The JSON at a path; null when nobody answers, or only a proxy that found nobody. */
async function read(path) {
    try {
        const response = await fetch(path, { cache: 'no-store',
                                             signal: AbortSignal.timeout(LIMIT_MS) });
        return response.ok ? await response.json() : null;
    } catch {
        return null;
    }
}

// SPDX-License-Identifier: MIT
/**
 * talk: the page. Presses start and end a conversation; between conversations the server is asked
 * now and then how it is, so that the page says so before anyone presses in vain.
 */

import { Conversation } from './conversation.js';
import { Figures } from './figures.js';
import { Levels } from './levels.js';
import { isMicrophonePossible, microphoneObstacle } from './microphone.js';
import { readReadiness } from './readiness.js';
import { Transcript } from './transcript.js';
import { View } from './view.js';

const POLL_MS = 5000;
const element = (id) => document.getElementById(id);

let conversation = null;

const view = new View({ onTalk, onRetry: () => conversation?.retryNow() });
const parts = {
    view,
    transcript: new Transcript(element('transcript')),
    levels: new Levels(element('levels'), element('talk'),
                       { you: element('level-you'), parley: element('level-parley') }),
    figures: new Figures(),
    onOver: () => {
        conversation = null;
        poll();
    },
};

function onTalk() {
    if (conversation) {
        conversation.stop();
        conversation = null;
        return;
    }
    conversation = new Conversation(parts);
    conversation.start();
}

/* What the page says while nobody talks. */
async function poll() {
    if (conversation || document.visibilityState !== 'visible')
        return;
    const { state, reason, model } = await readReadiness();
    if (conversation)
        return;
    view.showModel(model);
    view.showBanner(bannerOf(state, reason));
    if (state === 'degraded' && view.state !== 'denied')
        view.show('degraded');
    else if (state === 'ready' && view.state === 'busy')
        view.show('idle', 'A place is free now.');
    else if (state !== 'degraded' && view.state === 'degraded')
        view.show('idle');
}

function bannerOf(state, reason) {
    const banners = {
        degraded: `Parley is running, but it cannot talk: ${reason || 'its model is not ready'}. `
            + 'Mend the model’s files or choose another with --model, then start the server again.',
        loading: 'Parley is loading its model. A moment, please.',
        draining: 'Parley is shutting down.',
        unreachable: 'The server does not answer. Start it again with ./start; '
            + 'this page notices by itself.',
    };
    return banners[state] ?? null;
}

if (!isMicrophonePossible()) {
    const obstacle = microphoneObstacle();
    view.show('denied', obstacle.message, obstacle.advice);
}
setInterval(poll, POLL_MS);
document.addEventListener('visibilitychange', poll);
for (const event of ['visibilitychange', 'pointerdown', 'keydown'])
    document.addEventListener(event, () => conversation?.resumeSound());
window.addEventListener('online', () => conversation?.retryNow());
poll();

// SPDX-License-Identifier: MIT
/**
 * states: what the page is doing, one row a state: the button's word and what is said when nobody
 * has something better to say. The names are public (data-state of #status).
 */

export const states = {
    idle: {
        button: 'Talk',
        headline: 'Ready when you are.',
        advice: 'Press Talk or the space bar, then just speak.',
    },
    connecting: {
        button: 'Cancel',
        headline: 'One moment.',
        advice: 'Connecting.',
    },
    talking: {
        button: 'Stop',
        headline: 'Parley is listening.',
        advice: 'Speak whenever you like, even while it speaks. Try “What is three plus four?”',
    },
    busy: {
        button: 'Talk',
        headline: 'All places are taken.',
        advice: 'Someone else is talking just now. Try again in a moment.',
    },
    denied: {
        button: 'Talk',
        headline: 'There is no microphone.',
        advice: 'Check it, then press Talk again.',
    },
    lost: {
        button: 'Stop',
        headline: 'The connection is lost.',
        advice: 'Parley starts afresh when the server is back.',
    },
    degraded: {
        button: 'Talk',
        headline: 'Parley cannot talk right now.',
        advice: 'The reason stands above. This page notices by itself when that changes.',
    },
};

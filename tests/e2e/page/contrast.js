// SPDX-License-Identifier: MIT
/* Every visible text whose colour stands out from its ground by less than WCAG AA asks. */
(() => {
    const paint = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    function channels(colour) {
        paint.clearRect(0, 0, 1, 1);
        paint.fillStyle = colour;
        paint.fillRect(0, 0, 1, 1);
        return paint.getImageData(0, 0, 1, 1).data;
    }
    function luminance([r, g, b]) {
        const [x, y, z] = [r, g, b].map((c) => c / 255)
            .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    }
    function ground(node) {
        for (let at = node; at; at = at.parentElement) {
            const colour = channels(getComputedStyle(at).backgroundColor);
            if (colour[3] === 255)
                return colour;
        }
        return channels('white');
    }
    function contrast(node) {
        const ink = channels(getComputedStyle(node).color);
        const [low, high] = [luminance(ground(node)), luminance(ink)].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    }
    return [...document.querySelectorAll('body *')]
        .filter((node) => [...node.childNodes].some((child) => child.nodeType === 3
                                                    && child.data.trim()) && node.checkVisibility())
        .filter((node) => contrast(node) < 4.5)
        .map((node) => `${node.id || node.className || node.tagName} ${contrast(node).toFixed(2)}`);
})()

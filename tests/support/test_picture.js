// Reads test pictures (src/capture/pattern/draw.rs) off the canvases of the page.
globalThis.eye = {
  // How bright a tile's picture is at these points.
  bright(canvas, points) {
    const { data, width } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return points.map(([x, y]) => {
      const at = 4 * (Math.round(y) * width + Math.round(x));
      return 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
    });
  },

  // The number in the squares below; null where there is no picture yet.
  number() {
    const canvas = document.querySelector("figure canvas");
    if (!canvas || canvas.width < 512) return null;
    const bits = eye.bright(canvas, Array.from({ length: 32 }, (_, bit) => [16 * bit + 8, (canvas.height & ~15) - 8]));
    return bits.reduce((number, light) => number * 2 + (light > 127 ? 1 : 0), 0);
  },

  // The dots of the clock's twelve letters: eight lines of each, the left dot lowest.
  clock() {
    const canvas = document.querySelector("figure canvas");
    const [top, end] = [45, 65].map((percent) => Math.floor((canvas.height * percent) / 100) & ~15);
    const scale = Math.min(Math.floor(canvas.width / 176), Math.floor((end - top) / 20));
    const dots = Array.from({ length: 12 * 64 }, (_, dot) => {
      const [letter, line, column] = [dot >> 6, (dot >> 3) & 7, dot & 7];
      return [scale * (4.5 + 8 * letter + column) - 0.5, top + scale * (1.5 + line) - 0.5];
    });
    const lines = new Array(12 * 8).fill(0);
    eye.bright(canvas, dots).forEach((light, dot) => { if (light > 128) lines[dot >> 3] |= 1 << (dot & 7); });
    return lines;
  },

  // So many pictures one after the other, in the frame of the browser in which each is there first: number, clock, and the time, ms
  // since the Unix epoch.
  watch(count) {
    return new Promise((done) => {
      const seen = [];
      let last = eye.number();
      const look = () => {
        const number = eye.number();
        if (number !== null && number !== last) {
          const at = performance.timeOrigin + performance.now();
          seen.push({ number, at, clock: eye.clock() });
          last = number;
        }
        if (seen.length < count) requestAnimationFrame(look); else done(seen);
      };
      look();
    });
  },
};

// Reads the code (src/code.rs) off what the page shows, in each frame of the browser.
globalThis.meter = {
  seen: [],
  // `source`: a function that gives the canvas or the image.
  start(source) {
    const [block, columns, rows] = [16, 24, 5];
    const copy = document.createElement("canvas");
    Object.assign(copy, { width: block * columns, height: block * rows });
    const context = copy.getContext("2d", { alpha: false, willReadFrequently: true });
    let last = "";
    const look = () => {
      requestAnimationFrame(look);
      const shown = source();
      const width = shown?.naturalWidth ?? shown?.width;
      if (!width || width < copy.width) return;
      context.drawImage(shown, 0, 0, copy.width, copy.height, 0, 0, copy.width, copy.height);
      const { data } = context.getImageData(0, 0, copy.width, copy.height);
      const read = (row) => {
        let bits = 0;
        for (let column = 0; column < columns; column += 1) {
          const at = 4 * ((row * block + block / 2) * copy.width + column * block + block / 2);
          bits = bits * 2 + (data[at + 1] >= 128 ? 1 : 0);
        }
        return bits;
      };
      const code = Array.from({ length: rows }, (_, row) => read(row));
      if (code.join() === last) return;
      last = code.join();
      meter.seen.push([...code, performance.now()]);
    };
    requestAnimationFrame(look);
  },
};

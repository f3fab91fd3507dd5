// Tiles: JPEGs become pictures, the newest first, and each is drawn the moment it is decoded.

// It is said of a tile that its picture is old, ms.
const OLD = 3000;

export class Tile {
  constructor(id, name, shown, resized) {
    Object.assign(this, { id, name, shown, resized, parts: [], decoding: false, next: null, jpeg: null, drawn: performance.now() });
    this.figure = document.createElement("figure");
    this.canvas = document.createElement("canvas");
    this.caption = document.createElement("figcaption");
    this.caption.textContent = name;
    this.figure.title = `${name}: a click makes it large, and small again`;
    Object.assign(this.figure, { tabIndex: 0, role: "button", onkeydown: ({ key }) => key === "Enter" && this.figure.click() });
    Object.assign(this.canvas, { role: "img", ariaLabel: name });
    this.figure.append(this.canvas, this.caption);
    this.context = this.canvas.getContext("2d", { alpha: false });
  }

  get ratio() {
    return this.jpeg ? this.canvas.width / this.canvas.height : 16 / 9;
  }

  // A part of a picture came; `at`: when that was caught.
  part(bytes, isLast, at) {
    this.parts.push(bytes);
    if (!isLast) return;
    const parts = this.parts;
    this.parts = [];
    // What waits is older.
    if (this.next) this.shown(this.id, this.next.at, false);
    this.next = { parts, at };
    this.work();
  }

  dropParts() {
    this.parts = [];
  }

  async work() {
    if (this.decoding) return;
    this.decoding = true;
    while (this.next) {
      const { parts, at } = this.next;
      this.next = null;
      const seen = await this.draw(parts).catch(() => false);
      this.shown(this.id, at, seen);
    }
    this.decoding = false;
  }

  async draw(parts) {
    const picture = await decode(parts);
    try {
      const [width, height] = [picture.displayWidth ?? picture.width, picture.displayHeight ?? picture.height];
      const isNew = !this.jpeg || this.canvas.width !== width || this.canvas.height !== height;
      if (isNew) Object.assign(this.canvas, { width, height });
      this.context.drawImage(picture, 0, 0);
      this.jpeg = parts;
      this.drawn = performance.now();
      if (isNew) this.resized();
    } finally {
      picture.close();
    }
    return true;
  }

  // Says so where nothing has come for long.
  age(now) {
    const seconds = Math.floor((now - this.drawn) / 1000);
    const isOld = this.jpeg !== null && now - this.drawn > OLD;
    this.figure.classList.toggle("old", isOld);
    this.caption.textContent = isOld ? `${this.name}: no picture for ${seconds} s` : this.name;
  }

  // The picture goes into a file, as it came.
  keep() {
    if (!this.jpeg) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(this.jpeg, { type: "image/jpeg" }));
    link.download = `${this.name}-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.jpg`;
    link.click();
    // Some ask first.
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  remove() {
    this.figure.remove();
  }
}

// `ImageDecoder` is faster by a third, and there under https and on this machine alone.
async function decode(parts) {
  if (!("ImageDecoder" in globalThis)) return createImageBitmap(new Blob(parts, { type: "image/jpeg" }));
  const data = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (data.set(part, at), at + part.length), 0);
  const decoder = new ImageDecoder({ data, type: "image/jpeg" });
  try {
    return (await decoder.decode()).image;
  } finally {
    decoder.close();
  }
}

// Tiles as large as there is room for; `large`: that one alone.
export function layOut(grid, tiles, large) {
  const shown = large ? [large] : tiles;
  for (const tile of tiles) tile.figure.classList.toggle("away", !shown.includes(tile));
  const [width, height, gap] = [grid.clientWidth, grid.clientHeight, 4];
  const ratio = Math.max(...shown.map((tile) => tile.ratio));
  let best = { width: 0, height: 0 };
  for (let columns = 1; columns <= shown.length; columns += 1) {
    const rows = Math.ceil(shown.length / columns);
    const room = { width: (width - gap * (columns - 1)) / columns, height: (height - gap * (rows - 1)) / rows };
    const size = Math.min(room.width, room.height * ratio);
    if (size > best.width) best = { width: size, height: size / ratio };
  }
  for (const tile of shown) {
    tile.figure.style.width = `${Math.floor(best.width)}px`;
    tile.figure.style.height = `${Math.floor(best.height)}px`;
  }
}

// The socket to the program, which comes back by itself; and how far the program's clock is from ours.

// So many turns of a second without a word, and the connection is dead, whatever the system thinks of it. Counted, not timed: a page in
// the background has slower turns.
const SILENT = 5;

// How much a measurement of the clock ages, ms a ms: crystals drift by a tenth of that.
const AGES = 2e-4;

export class Link {
  // `on`: whom it tells: `ready()` to say what is wanted, `text(said)`, `bytes(data)`, `gone(why)`: `token`, `full`, or nothing known.
  constructor(on) {
    Object.assign(this, { on, token: "", socket: null, wait: 500, again: 0, silent: 0, clock: null, refused: "" });
    setInterval(() => this.turn(), 1000);
    addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.hurry());
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  // Bytes that wait in the browser.
  get waiting() {
    return this.socket?.bufferedAmount ?? 0;
  }

  connect(token) {
    clearTimeout(this.again);
    Object.assign(this, { token, silent: 0, refused: "" });
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/socket`);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.tell({ token });
    socket.onmessage = ({ data }) => {
      this.silent = 0;
      if (typeof data === "string") this.hear(JSON.parse(data));
      else this.on.bytes(data);
    };
    socket.onclose = () => this.lost();
    this.socket = socket;
  }

  hear(said) {
    if (said.refused) this.refused = said.refused;
    if ("chats" in said) {
      this.wait = 500;
      this.on.ready();
      this.tell({ ping: performance.now() });
    }
    if ("pong" in said) this.measure(said);
    this.on.text(said);
  }

  // The measurement that was back soonest counts, until it is old.
  measure({ pong, at }) {
    const now = performance.now();
    const trip = now - pong;
    const { clock } = this;
    if (!clock || trip <= clock.trip + (now - clock.at) * AGES) this.clock = { trip, at: now, ahead: at + trip / 2 - now };
  }

  lost() {
    this.socket = this.clock = null;
    this.on.gone(this.refused);
    if (this.refused === "token") return;
    this.again = setTimeout(() => this.connect(this.token), this.wait);
    this.wait = Math.min(this.wait * 2, 4000);
  }

  turn() {
    if (this.isOpen) this.tell({ ping: performance.now() });
    this.silent += 1;
    if (!this.socket || this.silent <= SILENT) return;
    // It would say goodbye first, to nobody.
    Object.assign(this.socket, { onclose: null, onmessage: null, onopen: null });
    this.socket.close();
    this.lost();
  }

  // There may be a network again.
  hurry() {
    if (!this.socket && this.token && this.refused !== "token") this.connect(this.token);
  }

  tell(what) {
    if (this.isOpen) this.socket.send(what instanceof ArrayBuffer ? what : JSON.stringify(what));
  }
}

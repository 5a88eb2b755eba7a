/* The images: a few of them loaded ahead, shown with one zoom, window and level for all frames. */

/* Bitmaps and canvases: what browsers keep of <img> elements that are gone is beyond a page's reach, and grows. */
class Images {
  /* Bytes of pixels that are held at most, those on the screen included. */
  static BUDGET = 40e6;

  constructor(size) {
    this.bytes = 4 * size * size;
    /* Path to a promise of its ImageBitmap, or of null where it cannot be loaded. */
    this.held = new Map();
  }

  /* Holds images (paths, the most wanted first) as far as the budget goes beside the `shown` canvases, at least as many
     as those, and lets go of all others. */
  hold(paths, shown) {
    const room = Math.floor(Images.BUDGET / this.bytes) - shown;
    const kept = new Set(paths.slice(0, Math.max(shown, room)));
    for (const [path, loading] of this.held) {
      if (kept.has(path)) continue;
      loading.then((bitmap) => bitmap?.close());
      this.held.delete(path);
    }
    for (const path of kept) if (!this.held.has(path)) this.held.set(path, Images.#load(path));
  }

  static async #load(path) {
    const image = new Image();
    try {
      await new Promise((resolve, reject) => Object.assign(image, { onload: resolve, onerror: reject, src: path }));
      return await createImageBitmap(image);
    } catch {
      return null;
    }
  }
}

class Viewer {
  static ZOOM = 16;
  static WINDOW = 255;
  static LEVEL = 127.5;

  constructor(frames, readout) {
    this.frames = frames;
    this.canvases = frames.map((frame) => frame.querySelector("canvas"));
    this.readout = readout;
    this.filter = document.querySelectorAll("#window feComponentTransfer > *");
    this.pointers = new Map();
    this.moves = false;
    for (const frame of frames) {
      frame.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
      frame.addEventListener("pointerdown", (event) => this.#down(event));
      frame.addEventListener("pointermove", (event) => this.#move(event));
      frame.addEventListener("pointerup", (event) => this.pointers.delete(event.pointerId));
      frame.addEventListener("pointercancel", (event) => this.pointers.delete(event.pointerId));
      frame.addEventListener("dblclick", () => this.reset());
    }
    new ResizeObserver(() => this.reset()).observe(frames[0]);
    this.reset();
  }

  /* Draws bitmaps (null: nothing) into the frames, with texts for who cannot see them. */
  show(bitmaps, texts) {
    this.canvases.forEach((canvas, place) => {
      const drawing = canvas.getContext("2d");
      drawing.clearRect(0, 0, canvas.width, canvas.height);
      if (bitmaps[place]) drawing.drawImage(bitmaps[place], 0, 0);
      canvas.setAttribute("aria-label", texts[place]);
    });
    this.reset();
  }

  reset() {
    Object.assign(this, { zoom: 1, x: 0, y: 0, window: Viewer.WINDOW, level: Viewer.LEVEL });
    this.#draw();
  }

  /* Zooms so that the point (x, y) of a frame stays where it is; by default its middle. */
  zoomBy(factor, x = this.frames[0].clientWidth / 2, y = this.frames[0].clientHeight / 2) {
    const zoom = Math.min(Viewer.ZOOM, Math.max(1, this.zoom * factor));
    this.x = x - ((x - this.x) * zoom) / this.zoom;
    this.y = y - ((y - this.y) * zoom) / this.zoom;
    this.zoom = zoom;
    this.#draw();
  }

  windowBy(width, level) {
    this.window = Math.min(2 * Viewer.WINDOW, Math.max(4, this.window + width));
    this.level = Math.min(255, Math.max(0, this.level + level));
    this.#draw();
  }

  #panBy(x, y) {
    this.x += x;
    this.y += y;
    this.#draw();
  }

  #draw() {
    const { clientWidth, clientHeight } = this.frames[0];
    this.x = Math.min(0, Math.max(clientWidth * (1 - this.zoom), this.x));
    this.y = Math.min(0, Math.max(clientHeight * (1 - this.zoom), this.y));
    /* A value v of 0 to 1 is shown as slope * v + intercept: the window's ends become black and white. */
    const slope = 255 / this.window;
    const intercept = 0.5 - (slope * this.level) / 255;
    for (const channel of this.filter) {
      channel.setAttribute("slope", slope);
      channel.setAttribute("intercept", intercept);
    }
    const plain = this.window === Viewer.WINDOW && this.level === Viewer.LEVEL;
    for (const canvas of this.canvases) {
      canvas.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.zoom})`;
      canvas.style.filter = plain ? "none" : "url(#window)";
    }
    this.readout.textContent = `${Math.round(100 * this.zoom)} %  W ${Math.round(this.window)}  L ${Math.round(this.level)}`;
  }

  #wheel(event) {
    event.preventDefault();
    const { left, top } = event.currentTarget.getBoundingClientRect();
    this.zoomBy(Math.exp(-Math.sign(event.deltaY) * 0.15), event.clientX - left, event.clientY - top);
  }

  #down(event) {
    if (event.button > 1) return;
    event.preventDefault();
    event.currentTarget.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY, pans: event.button === 1 || event.shiftKey });
  }

  #move(event) {
    const pointer = this.pointers.get(event.pointerId);
    if (!pointer) return;
    const x = event.clientX - pointer.x;
    const y = event.clientY - pointer.y;
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      /* Two fingers: their distance zooms about their middle, and their middle moves the image. */
      const { left, top } = event.currentTarget.getBoundingClientRect();
      const before = Math.hypot(pointer.x - other.x, pointer.y - other.y);
      const after = Math.hypot(event.clientX - other.x, event.clientY - other.y);
      this.zoomBy(after / Math.max(1, before), (event.clientX + other.x) / 2 - left, (event.clientY + other.y) / 2 - top);
      this.#panBy(x / 2, y / 2);
    } else if (this.moves || pointer.pans) {
      this.#panBy(x, y);
    } else {
      this.windowBy(x / 2, y / 2);
    }
    pointer.x = event.clientX;
    pointer.y = event.clientY;
  }
}

/* The images: a few of them loaded ahead, shown with one zoom, window and level for all frames. */

class Images {
  /* Bytes of decoded images that are held at most; what is on the screen always is. */
  static BUDGET = 40e6;

  constructor(size) {
    this.bytes = 4 * size * size;
    this.held = new Map();
  }

  /* Holds images (paths, the most wanted first) as far as the budget goes, at least `needed`, and lets go of all others. */
  hold(paths, needed) {
    const kept = new Set(paths.slice(0, Math.max(needed, Math.floor(Images.BUDGET / this.bytes))));
    for (const [path, image] of this.held) {
      if (kept.has(path)) continue;
      image.removeAttribute("src");
      this.held.delete(path);
    }
    for (const path of kept) {
      if (this.held.has(path)) continue;
      const image = new Image();
      image.draggable = false;
      image.src = path;
      /* An image that is let go of while it loads is no error. */
      image.ready = image.decode().catch(() => {});
      this.held.set(path, image);
    }
  }
}

class Viewer {
  static ZOOM = 16;
  static WINDOW = 255;
  static LEVEL = 127.5;

  constructor(frames, readout) {
    this.frames = frames;
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

  /* Puts images into the frames, with texts for who cannot see them. */
  show(images, texts) {
    this.frames.forEach((frame, place) => {
      frame.querySelector("img")?.remove();
      images[place].alt = texts[place];
      frame.prepend(images[place]);
    });
    this.reset();
  }

  clear() {
    for (const frame of this.frames) frame.querySelector("img")?.remove();
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
    for (const image of this.frames.map((frame) => frame.querySelector("img")).filter(Boolean)) {
      image.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.zoom})`;
      image.style.filter = plain ? "none" : "url(#window)";
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

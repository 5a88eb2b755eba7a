"use strict";

/* One reader's ratings of a kit, kept in the browser's storage, and as a CSV file. */

class Ratings {
  static #PREFIX = "synthworth rating ";

  /* Ratings that this browser keeps of a kit: [{reader, rated}]. */
  static saved(kit) {
    const prefix = `${Ratings.#PREFIX}${kit.kit} `;
    try {
      return Object.keys(localStorage).filter((key) => key.startsWith(prefix)).sort().map((key) => {
        const ratings = new Ratings(kit, key.slice(prefix.length));
        return { reader: ratings.reader, rated: ratings.complete };
      });
    } catch {
      return [];
    }
  }

  static keeps() {
    try {
      localStorage.setItem(Ratings.#PREFIX, "");
      localStorage.removeItem(Ratings.#PREFIX);
      return true;
    } catch {
      return false;
    }
  }

  constructor(kit, reader) {
    this.kit = kit;
    this.reader = reader;
    this.names = Object.keys(kit.scores);
    this.key = `${Ratings.#PREFIX}${kit.kit} ${reader}`;
    this.load();
  }

  /* Takes what the browser keeps; what was rated before the load cannot be taken back. */
  load() {
    this.history = [];
    let kept = null;
    try {
      kept = JSON.parse(localStorage.getItem(this.key));
    } catch {
      /* Without storage the ratings last as long as the page. */
    }
    this.scores = kept?.scores ?? {};
    this.seconds = kept?.seconds ?? {};
    this.place = kept?.place ?? 0;
    this.exported = kept?.exported ?? true;
    this.complete = Object.keys(this.scores).filter((item) => this.state(item) === "done").length;
  }

  save() {
    try {
      const { scores, seconds, place, exported } = this;
      localStorage.setItem(this.key, JSON.stringify({ scores, seconds, place, exported }));
    } catch {
      /* As above; the start screen says so. */
    }
  }

  forget() {
    localStorage.removeItem(this.key);
  }

  get(item, name) {
    return this.scores[item]?.[name];
  }

  /* "done" with all scores, "partly" with some, "" with none. */
  state(item) {
    const given = Object.keys(this.scores[item] ?? {}).length;
    return given === this.names.length ? "done" : given ? "partly" : "";
  }

  rate(item, name, value) {
    this.history.push({ item, name, value: this.get(item, name) });
    this.#set(item, name, value);
  }

  /* Takes the last rating back; returns what it was of, or undefined. */
  undo() {
    const last = this.history.pop();
    if (last) this.#set(last.item, last.name, last.value);
    return last;
  }

  spend(item, seconds) {
    this.seconds[item] = (this.seconds[item] ?? 0) + seconds;
  }

  csv() {
    const rows = this.kit.items.filter(({ item }) => this.state(item)).map(({ item }) => [
      this.kit.kit, this.kit.mode, this.reader, item,
      ...this.names.map((name) => this.get(item, name) ?? ""),
      (this.seconds[item] ?? 0).toFixed(1),
    ]);
    const header = ["kit", "mode", "reader", "item", ...this.names, "seconds"];
    const field = (value) => (/[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value);
    return [header, ...rows].map((row) => row.map(field).join(",") + "\n").join("");
  }

  get file() {
    return `ratings-${this.kit.mode}-${this.kit.kit}-${this.reader.replace(/[^\p{L}\p{N}_-]+/gu, "_")}.csv`;
  }

  #set(item, name, value) {
    const before = this.state(item);
    this.scores[item] = { ...this.scores[item], [name]: value };
    if (value === undefined) delete this.scores[item][name];
    this.complete += (this.state(item) === "done") - (before === "done");
    this.exported = false;
    this.save();
  }
}

"use strict";

/* One reader's ratings of a kit, kept in the browser's storage, and as a CSV file. */

class Ratings {
  static #PREFIX = "synthworth rating ";

  /* What the browser keeps of these ratings, as far as is known here; null for nothing. */
  #text = null;

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
    this.kept = false;
    let kept = null;
    try {
      this.#text = localStorage.getItem(this.key);
      this.kept = true;
      kept = JSON.parse(this.#text);
    } catch {
      /* Without storage the ratings last as long as the page; `save` finds out. */
    }
    this.scores = kept?.scores ?? {};
    this.seconds = kept?.seconds ?? {};
    this.place = kept?.place ?? 0;
    this.exported = kept?.exported ?? true;
    this.complete = Object.keys(this.scores).filter((item) => this.state(item) === "done").length;
  }

  /* Keeps the ratings in the browser, over nobody else's; `kept` says whether it did. */
  save() {
    const { scores, seconds, place, exported } = this;
    const text = JSON.stringify({ scores, seconds, place, exported });
    try {
      if (this.#changed) return;
      localStorage.setItem(this.key, text);
      this.#text = text;
      this.kept = true;
    } catch {
      this.kept = false;
    }
  }

  /* Whether what the browser keeps was written elsewhere. Never while it keeps nothing: then memory alone has it all. */
  get overtaken() {
    return this.kept && this.#changed;
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

  /* Where nothing is kept any more, because the reader cleared the storage, there is nothing to write over. */
  get #changed() {
    const found = localStorage.getItem(this.key);
    return found !== null && found !== this.#text;
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

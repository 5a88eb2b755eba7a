/* The screens, the keys, and what goes on between them. */

const kit = JSON.parse(document.getElementById("kit").textContent);
const $ = (id) => document.getElementById(id);
const names = Object.keys(kit.scores);
const fieldsets = Object.fromEntries(names.map((name) => [name, document.querySelector(`[data-score="${name}"]`)]));
const images = new Images(kit.size);
const viewer = new Viewer([...document.querySelectorAll(".frame")], $("readout"));
const word = kit.mode === "pair" ? "Pair" : "Image";
/* Items that are loaded ahead, and buttons on a page of the overview. */
const AHEAD = 3;
const PAGE = 100;

let ratings = null;
let place = 0;
/* How often an item was asked for: only the last one is shown. */
let turns = 0;
let active = names[0];
/* Whether the item at `place` is on the screen, with all its images. */
let seen = false;
/* When the reader began to look at the item that is shown; null while nothing is, and nothing can be rated. */
let since = null;
/* The key or the pointer, whichever was used last: arrow keys within a question must not turn the page. */
let hand = "pointer";

function say(text) {
  $("status").textContent = text;
}

/* The start screen. */

function listSaved() {
  const saved = Ratings.saved(kit);
  $("saved").hidden = !saved.length;
  $("saved").querySelector("ul").replaceChildren(...saved.map(({ reader, rated }) => {
    const row = document.createElement("li");
    const text = document.createElement("span");
    text.textContent = `${reader}: ${rated} of ${kit.items.length} rated`;
    const resume = button("Resume", () => begin(reader));
    resume.setAttribute("aria-label", `Resume as ${reader}`);
    const remove = button("Delete", () => {
      if (!confirm(`Delete the ratings of ${reader} from this browser?`)) return;
      new Ratings(kit, reader).forget();
      listSaved();
    });
    remove.setAttribute("aria-label", `Delete the ratings of ${reader}`);
    row.append(text, resume, remove);
    return row;
  }));
}

function button(text, action) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", action);
  return made;
}

function begin(reader) {
  ratings = new Ratings(kit, reader);
  $("start").hidden = true;
  $("rate").hidden = false;
  go(ratings.place);
}

/* One item. */

async function go(to) {
  if (to < 0 || to >= kit.items.length) return;
  spend();
  seen = false;
  const turn = ++turns;
  place = to;
  ratings.place = to;
  ratings.save();
  const { item, images: paths, shown } = kit.items[to];
  const nearby = [0, ...Array.from({ length: AHEAD }, (_, step) => step + 1), -1].map((step) => kit.items[to + step]);
  images.hold([...new Set(nearby.filter(Boolean).flatMap((near) => near.images))], paths.length);
  const bitmaps = await Promise.all(paths.map((path) => images.held.get(path)));
  if (turn !== turns) return;
  const missing = bitmaps.includes(null);
  const title = `${word} ${to + 1} of ${kit.items.length}${missing ? " cannot be loaded: is the folder complete?" : ""}`;
  viewer.show(bitmaps, paths.length > 1 ? [`${title}, left`, `${title}, right`] : [title]);
  $("place").textContent = title;
  if (shown !== null) $("shown").textContent = shown;
  activate(names.find((name) => ratings.get(item, name) === undefined) ?? names[0]);
  refresh();
  seen = !missing;
  if (seen) since = performance.now();
  say(shown === null ? title : `${title}, ${shown}`);
}

/* Counts the time that was spent on the item that is shown. */
function spend() {
  if (since === null) return;
  ratings.spend(kit.items[place].item, (performance.now() - since) / 1000);
  since = null;
}

function activate(name) {
  active = name;
  for (const [other, fieldset] of Object.entries(fieldsets)) fieldset.classList.toggle("active", other === name);
}

function refresh() {
  const { item } = kit.items[place];
  for (const name of names) {
    const value = ratings.get(item, name);
    for (const input of fieldsets[name].querySelectorAll("input")) input.checked = Number(input.value) === value;
  }
  $("bar").value = ratings.complete;
  $("progress").textContent = `${ratings.complete} of ${kit.items.length} rated`;
  $("previous").disabled = place === 0;
  $("next").disabled = place === kit.items.length - 1;
  $("undo").disabled = !ratings.history.length;
  $("export").classList.toggle("strong", !ratings.exported && ratings.complete === kit.items.length);
}

/* Rates the item that is shown; once it has all its scores, and `turns`, the next one comes. */
function rate(name, value, turns) {
  if (since === null) return refresh();
  const { item } = kit.items[place];
  const before = ratings.state(item);
  ratings.rate(item, name, value);
  const label = fieldsets[name].querySelector(`input[value="${value}"]`).closest("label").querySelector("span");
  say(`${fieldsets[name].querySelector("legend").textContent}: ${label.textContent}`);
  activate(names[(names.indexOf(name) + 1) % names.length]);
  refresh();
  if (!turns || before === "done" || ratings.state(item) !== "done") return;
  if (place + 1 < kit.items.length) go(place + 1);
  else finish();
}

function undo() {
  const last = ratings.undo();
  if (!last) return;
  go(kit.items.findIndex(({ item }) => item === last.item)).then(() => activate(last.name));
}

function nextUnrated() {
  const count = kit.items.length;
  const steps = Array.from({ length: count }, (_, step) => (place + 1 + step) % count);
  const next = steps.find((step) => ratings.state(kit.items[step].item) !== "done");
  if (next === undefined) finish();
  else go(next);
}

/* Screens that hide the images. */

function stop(why, what, then) {
  spend();
  turns++;
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  $("why").textContent = why;
  $("what").textContent = what;
  $("rate").hidden = true;
  $("stopped").hidden = false;
  $("go").onclick = () => {
    $("stopped").hidden = true;
    $("rate").hidden = false;
    then();
  };
  $("go").focus();
}

function pause() {
  spend();
  ratings.save();
  stop("A break", `${ratings.complete} of ${kit.items.length} rated. No time is counted while you are away.`, () => go(place));
}

function finish() {
  const left = kit.items.length - ratings.complete;
  if (left) stop("The end of the kit", `${left} ${left === 1 ? "is" : "are"} not rated yet.`, nextUnrated);
  else stop("Done", "All are rated. Export your ratings and send the file to the person who gave you this kit. Thank you.", () => go(place));
}

function exportFile() {
  if (since !== null) {
    spend();
    since = performance.now();
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([ratings.csv()], { type: "text/csv" }));
  link.download = ratings.file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  ratings.exported = true;
  ratings.save();
  refresh();
  say(`Exported as ${ratings.file}`);
}

/* The overview, a page of buttons at a time: thousands at once would be slow. */

let first = 0;

function list(from) {
  first = Math.max(0, Math.min(from, kit.items.length - 1));
  const items = kit.items.slice(first, first + PAGE);
  $("grid").replaceChildren(...items.map(({ item }, offset) => {
    const to = first + offset;
    const state = ratings.state(item);
    const made = button(String(to + 1), () => {
      $("items").close();
      go(to);
    });
    made.className = state;
    made.setAttribute("aria-label", `${word} ${to + 1}, ${{ done: "rated", partly: "partly rated", "": "not rated" }[state]}`);
    if (to === place) made.setAttribute("aria-current", "true");
    return made;
  }));
  $("range").textContent = `${first + 1} to ${first + items.length} of ${kit.items.length}`;
  $("back").disabled = first === 0;
  $("forward").disabled = first + PAGE >= kit.items.length;
}

function overview() {
  list(Math.floor(place / PAGE) * PAGE);
  $("items").showModal();
  $("grid").querySelector("[aria-current]").focus();
}

/* Keys and buttons. */

const KEYS = {
  ArrowLeft: () => go(place - 1),
  ArrowRight: () => go(place + 1),
  Backspace: undo,
  q: () => activate(names[(names.indexOf(active) + 1) % names.length]),
  n: nextUnrated,
  p: pause,
  o: overview,
  e: exportFile,
  h: () => $("keys").showModal(),
  "+": () => viewer.zoomBy(1.25),
  "-": () => viewer.zoomBy(0.8),
  c: () => viewer.windowBy(-16, 0),
  v: () => viewer.windowBy(16, 0),
  b: () => viewer.windowBy(0, -8),
  d: () => viewer.windowBy(0, 8),
  0: () => viewer.reset(),
};
/* Held down, these go on; any other key would act on images that nobody has looked at. */
const REPEATING = /^(ArrowLeft|ArrowRight|[-+cvbd])$/;

document.addEventListener("keydown", (event) => {
  hand = "key";
  const busy = $("rate").hidden || document.querySelector("dialog[open]");
  if (busy || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.repeat && !REPEATING.test(key)) return;
  const values = kit.scores[active];
  if (/^[1-9]$/.test(key)) {
    if (key <= values.length) rate(active, values[key - 1], true);
    else say(`Press 1 to ${values.length}`);
  } else if (Object.hasOwn(KEYS, key)) {
    event.preventDefault();
    KEYS[key]();
  }
});
document.addEventListener("pointerdown", () => (hand = "pointer"), true);

for (const [name, fieldset] of Object.entries(fieldsets)) {
  fieldset.addEventListener("focusin", () => activate(name));
  fieldset.addEventListener("change", (event) => rate(name, Number(event.target.value), hand === "pointer"));
}
$("begin").addEventListener("submit", (event) => {
  event.preventDefault();
  const reader = $("reader").value.trim();
  if (reader) begin(reader);
});
$("previous").addEventListener("click", KEYS.ArrowLeft);
$("next").addEventListener("click", KEYS.ArrowRight);
$("unrated").addEventListener("click", nextUnrated);
$("undo").addEventListener("click", undo);
$("pause").addEventListener("click", pause);
$("overview").addEventListener("click", overview);
$("help").addEventListener("click", KEYS.h);
for (const id of ["export", "save"]) $(id).addEventListener("click", exportFile);
$("back").addEventListener("click", () => list(first - PAGE));
$("forward").addEventListener("click", () => list(first + PAGE));
$("smaller").addEventListener("click", KEYS["-"]);
$("larger").addEventListener("click", KEYS["+"]);
$("reset").addEventListener("click", KEYS[0]);
$("move").addEventListener("click", () => {
  viewer.moves = !viewer.moves;
  $("move").setAttribute("aria-pressed", viewer.moves);
});

/* Leaving. */

window.addEventListener("beforeunload", (event) => {
  if (!ratings || ratings.exported) return;
  event.preventDefault();
  /* For older browsers. */
  event.returnValue = true;
});
document.addEventListener("visibilitychange", () => {
  if (!ratings || $("rate").hidden) return;
  if (document.hidden) {
    spend();
    ratings.save();
  } else if (seen) since = performance.now();
});
/* Two windows would overwrite each other's ratings. A break ends here too: its "Go on" would save what was rated before. */
window.addEventListener("storage", (event) => {
  if (!ratings || event.key !== ratings.key) return;
  since = null;
  ratings.load();
  stop("Open in another window", "You rate this kit in another window. Close that one before you go on here.", () => {
    ratings.load();
    go(ratings.place);
  });
});

$("unkept").hidden = Ratings.keeps();
listSaved();
$("reader").focus();

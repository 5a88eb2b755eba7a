/* The screens, and what goes on between them. */

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
      $("doomed").textContent = `Delete the ratings of ${reader} from this browser?`;
      $("sure").returnValue = "";
      $("sure").onclose = () => {
        if ($("sure").returnValue !== "delete") return;
        new Ratings(kit, reader).forget();
        listSaved();
      };
      $("sure").showModal();
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
  if (to < 0 || to >= kit.items.length || overtaken()) return;
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
  look();
  say(shown === null ? title : `${title}, ${shown}`);
}

/* Time counts from now on, and ratings are taken, unless something hides the item. */
function look() {
  const hidden = $("rate").hidden || document.hidden || document.querySelector("dialog[open]");
  if (seen && since === null && !hidden) since = performance.now();
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
  warn();
  $("export").classList.toggle("strong", !ratings.exported && ratings.complete === kit.items.length);
}

function warn() {
  for (const warning of document.querySelectorAll(".unkept")) warning.hidden = ratings.kept;
}

/* Rates the item that is shown; once it has all its scores, and `turns`, the next one comes. */
function rate(name, value, turns) {
  if (since === null) return refresh();
  if (overtaken()) return;
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
  warn();
  $("rate").hidden = true;
  $("stopped").hidden = false;
  $("go").onclick = () => {
    $("stopped").hidden = true;
    $("rate").hidden = false;
    then();
  };
  $("go").focus();
}

/* Whether the ratings were written elsewhere: in another window, or in this one before it came back from the history. */
function overtaken() {
  const found = ratings.overtaken;
  if (found) giveWay();
  return found;
}

/* Two windows would overwrite each other's ratings. A break ends here too: its "Go on" would save what was rated before. */
function giveWay() {
  since = null;
  ratings.load();
  stop("Open in another window", "You rate this kit in another window. Close that one before you go on here.", () => {
    ratings.load();
    go(ratings.place);
  });
}

function pause() {
  if (overtaken()) return;
  spend();
  ratings.save();
  stop("A break", `${ratings.complete} of ${kit.items.length} rated. No time is counted while you are away.`, () => go(place));
}

function finish() {
  if (overtaken()) return;
  spend();
  ratings.save();
  const left = kit.items.length - ratings.complete;
  if (left) stop("The end of the kit", `${left} ${left === 1 ? "is" : "are"} not rated yet.`, nextUnrated);
  else stop("Done", "All are rated. Export your ratings and send the file to the person who gave you this kit. Thank you.", () => go(place));
}

function exportFile() {
  if (overtaken()) return;
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

/* Dialogs: they cover the item, so no time counts. The overview has a page of buttons: thousands at once would be slow. */

function openDialog(dialog) {
  spend();
  dialog.showModal();
}
for (const dialog of document.querySelectorAll("dialog")) dialog.addEventListener("close", look);

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
  openDialog($("items"));
  $("grid").querySelector("[aria-current]").focus();
}

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
  } else if (!overtaken()) look();
});
/* What only memory holds is not given up for what another window keeps. */
window.addEventListener("storage", (event) => {
  if (ratings?.kept && event.key === ratings.key) giveWay();
});

$("unkept").hidden = Ratings.keeps();
listSaved();
$("reader").focus();

/* The keys and the buttons. */

/* The key or the pointer, whichever was used last: arrow keys within a question must not turn the page. */
let hand = "pointer";

const KEYS = {
  ArrowLeft: () => go(place - 1),
  ArrowRight: () => go(place + 1),
  Backspace: undo,
  q: () => activate(names[(names.indexOf(active) + 1) % names.length]),
  n: nextUnrated,
  p: pause,
  o: overview,
  e: exportFile,
  h: () => openDialog($("keys")),
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

/* The digit 1 to 9 of a key, or "". Some keyboards, French and Czech ones for example, have signs in its place without shift. */
function digitOf(event) {
  if (/^[1-9]$/.test(event.key)) return event.key;
  if (event.shiftKey || event.getModifierState("AltGraph")) return "";
  return /^Digit([1-9])$/.exec(event.code)?.[1] ?? "";
}

document.addEventListener("keydown", (event) => {
  hand = "key";
  /* Held down, Enter would press the focused button again and again. */
  if (event.repeat && event.key === "Enter") event.preventDefault();
  const busy = $("rate").hidden || document.querySelector("dialog[open]");
  if (busy || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const values = kit.scores[active];
  const digit = digitOf(event);
  const rates = digit !== "" && digit <= values.length;
  if (event.repeat && (rates || !REPEATING.test(key))) return;
  if (rates) rate(active, values[digit - 1], true);
  else if (digit === key) say(`Press 1 to ${values.length}`);
  else if (Object.hasOwn(KEYS, key)) {
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

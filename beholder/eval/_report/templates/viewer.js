/* One picture, or one prompt by several checkpoints, as large as the window. */

const MOST_BESIDE = 4;

class Viewer {
  constructor(album, dialog) {
    this.album = album;
    this.dialog = dialog;
    this.kind = null; // the map that lies over the picture
    this.lastKind = null;
    this.find();
    this.listen();
  }

  find() {
    const part = (name) => this.dialog.querySelector(`[data-part=${name}]`);
    for (const name of ["stage", "title", "facts", "scores", "maps", "kinds", "opacity", "count", "help", "said"]) {
      this[name] = part(name);
    }
    this.buttons = Object.fromEntries([...this.dialog.querySelectorAll("[data-do]")].map((b) => [b.dataset.do, b]));
  }

  listen() {
    const acts = {
      previous: () => this.step(-1), next: () => this.step(1),
      up: () => this.turn(-1), down: () => this.turn(1),
      side: () => this.toggleSide(), map: () => this.toggleMap(),
      help: () => this.toggleHelp(), close: () => this.dialog.close(),
    };
    for (const [name, act] of Object.entries(acts)) this.buttons[name].addEventListener("click", act);
    const keys = {
      ArrowLeft: acts.previous, ArrowRight: acts.next, ArrowUp: acts.up, ArrowDown: acts.down,
      s: acts.side, h: acts.map, "?": acts.help,
    };
    this.dialog.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.matches("input") && event.key.startsWith("Arrow")) return; // moves the slider or choice
      const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!act) return;
      event.preventDefault();
      act();
    });
    this.dialog.addEventListener("click", (event) => { if (event.target === this.dialog) this.dialog.close(); });
    this.opacity.addEventListener("input", () => this.fade());
    this.listenToSwipes();
  }

  listenToSwipes() {
    let from = null;
    this.stage.addEventListener("touchstart", (event) => {
      from = event.touches.length === 1 ? event.touches[0].clientX : null;
    }, { passive: true });
    this.stage.addEventListener("touchend", (event) => {
      const way = from === null ? 0 : event.changedTouches[0].clientX - from;
      if (Math.abs(way) > 50) this.step(way < 0 ? 1 : -1);
    }, { passive: true });
  }

  /** Show a picture among those that ← and → go through. */
  open(picture, among) {
    this.begin(picture, among, null);
  }

  /** Show pictures side by side that belong together for another reason than their prompt. */
  compare(picture, among) {
    this.begin(picture, among, among);
  }

  begin(picture, among, members) {
    this.among = among;
    this.at = Math.max(among.indexOf(picture), 0);
    this.members = members;
    this.isSide = members !== null;
    this.help.hidden = true;
    this.show(picture);
    this.dialog.showModal();
  }

  /** The next picture of the list, or the one before; the list has no end. */
  step(by) {
    this.at = (this.at + by + this.among.length) % this.among.length;
    this.show(this.among[this.at]);
  }

  /** The same prompt by the next checkpoint. */
  turn(by) {
    const family = this.family();
    const next = family[(family.indexOf(this.picture) + by + family.length) % family.length];
    const at = this.among.indexOf(next);
    if (at >= 0) this.at = at;
    this.show(next);
  }

  family() {
    return this.members || this.album.siblings(this.picture);
  }

  /** At most four pictures side by side, this one among them. */
  beside() {
    const family = this.family();
    if (!this.isSide || family.length < 2) return [this.picture];
    const first = Math.min(Math.max(family.indexOf(this.picture) - MOST_BESIDE + 1, 0), family.length - 1);
    return family.slice(first, first + MOST_BESIDE);
  }

  toggleSide() {
    if (this.family().length < 2) return this.tell("There is no other picture of this prompt and seed.");
    this.isSide = !this.isSide;
    return this.show(this.picture);
  }

  toggleMap() {
    const kinds = this.kindsHere();
    if (!kinds.length) return this.tell("There is no map of this picture.");
    const wanted = kinds.includes(this.lastKind) ? this.lastKind : kinds[0];
    this.kind = kinds.includes(this.kind) ? null : wanted;
    return this.show(this.picture);
  }

  toggleHelp() {
    this.help.hidden = !this.help.hidden;
    this.buttons.help.setAttribute("aria-expanded", String(!this.help.hidden));
  }

  kindsHere() {
    return this.album.kinds.filter((kind) => this.beside().some((p) => (p.maps || []).some((m) => m.kind === kind)));
  }

  show(picture) {
    this.picture = picture;
    const pictures = this.beside();
    this.title.textContent = picture.prompt || "no prompt";
    this.count.textContent = `${this.at + 1} of ${this.among.length}`;
    this.stage.replaceChildren(...pictures.map((one) => this.sheet(one, pictures.length > 1)));
    this.stage.style.setProperty("--beside", pictures.length);
    this.stage.style.setProperty("--beside-narrow", Math.min(pictures.length, 2));
    this.scores.replaceChildren(...this.table(pictures));
    this.facts.replaceChildren(...this.factsOf(picture, pictures.length > 1));
    this.offer(pictures);
    this.fade();
    const who = pictures.map((one) => one.checkpoint || one.name).join(", ");
    this.tell(`${this.count.textContent}: ${who}`);
  }

  tell(text) { this.said.textContent = text; }

  sheet(picture, isNamed) {
    const sheet = this.album.drawn(picture, { eager: true });
    const layer = this.kind ? this.album.layer(picture, this.kind) : null;
    if (layer) sheet.append(layer);
    const isHere = isNamed && picture === this.picture;
    return element("figure", { class: `${this.album.tone(picture)}${isHere ? " here" : ""}` },
      sheet,
      isNamed ? element("figcaption", { dir: "auto" }, ...breakable(picture.checkpoint || picture.name)) : null);
  }

  offer(pictures) {
    const family = this.family().length;
    const kinds = this.kindsHere();
    for (const name of ["up", "down", "side"]) this.buttons[name].disabled = family < 2;
    for (const name of ["previous", "next"]) this.buttons[name].disabled = this.among.length < 2;
    this.buttons.side.setAttribute("aria-pressed", String(pictures.length > 1));
    this.buttons.map.setAttribute("aria-pressed", String(kinds.includes(this.kind)));
    this.buttons.map.hidden = this.album.kinds.length === 0;
    this.buttons.map.disabled = kinds.length === 0;
    this.maps.hidden = kinds.length === 0;
    this.offerKinds(kinds);
  }

  /** One choice a kind of map, and none; the choice that has the focus keeps it. */
  offerKinds(kinds) {
    const had = this.kinds.contains(document.activeElement);
    this.kinds.replaceChildren(...[null, ...kinds].map((kind) => element("label", {},
      element("input", {
        type: "radio", name: "viewer-map", checked: kind === (kinds.includes(this.kind) ? this.kind : null),
        on: { change: () => this.choose(kind) },
      }), kind || "no map")));
    if (had) this.kinds.querySelector(":checked").focus();
  }

  choose(kind) {
    this.kind = kind;
    if (kind) this.lastKind = kind;
    this.show(this.picture);
  }

  fade() {
    this.stage.style.setProperty("--opacity", this.opacity.value / 100);
    this.opacity.setAttribute("aria-valuetext", `${this.opacity.value} %`);
  }

  factsOf(picture, isSide) {
    const said = isSide
      ? [["seed", picture.seed], ["category", picture.category]]
      : [["checkpoint", picture.checkpoint], ["seed", picture.seed], ["category", picture.category], ["file", picture.name]];
    return said.filter(([, value]) => value !== "").map(([name, value]) => element("div", {},
      element("dt", {}, name), element("dd", { dir: "auto" }, value)));
  }

  /** Every score: on its rail for one picture, in columns with the best in bold for several. */
  table(pictures) {
    const head = element("thead", {}, element("tr", {},
      element("th", { scope: "col" }, "Score"),
      ...pictures.map((p) => element("th", { scope: "col", dir: "auto", class: this.album.tone(p) },
        ...breakable(pictures.length > 1 ? p.checkpoint || p.name : "Value")))));
    return [head, element("tbody", {}, ...this.album.scores.map((score, k) => this.line(score, k, pictures)))];
  }

  line(score, k, pictures) {
    const values = pictures.map((p) => p.scores[k]);
    const best = Math.max(...values.filter((value) => value !== null));
    const cells = values.map((value) => element("td", {},
      element(pictures.length > 1 && value === best ? "b" : "span", {}, written(value, score.digits)),
      pictures.length === 1 ? rail(value, score) : null));
    return element("tr", { class: score.tone }, element("th", { scope: "row" }, ...breakable(score.label)), ...cells);
  }
}

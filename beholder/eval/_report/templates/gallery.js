/* The gallery: sort, filter, two layouts, drawn a page at a time. */

const PAGE = 48;

class Gallery {
  constructor(album, root, open) {
    this.album = album;
    this.root = root;
    this.open = open;
    this.form = root.querySelector("form");
    this.list = root.querySelector("[data-list]");
    this.status = root.querySelector("[role=status]");
    this.more = root.querySelector("[data-more]");
    this.range = new Range(root.querySelector("[data-range]"), () => this.refresh());
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", (event) => this.changed(event.target));
    this.form.addEventListener("reset", () => setTimeout(() => this.start()));
    this.more.addEventListener("click", () => this.extend());
    root.hidden = false;
    this.start();
  }

  /** Forget every choice. */
  start() {
    this.measure();
    this.refresh();
  }

  changed(control) {
    if (control.type === "range") return; // the range tells by itself
    if (control.name === "sort") this.measure();
    this.refresh();
  }

  chosen(name) {
    const control = this.form.elements[name];
    return control ? control.value : "";
  }

  get by() { return Number(this.chosen("sort")); }

  measure() {
    this.range.measure(this.album.scores[this.by], this.album.pictures.map((p) => p.scores[this.by]));
  }

  passes(picture) {
    const text = this.chosen("text").trim().toLowerCase();
    return (!this.chosen("checkpoint") || picture.checkpoint === this.chosen("checkpoint"))
      && (!this.chosen("category") || picture.category === this.chosen("category"))
      && (!text || picture.prompt.toLowerCase().includes(text))
      && (this.chosen("only") !== "maps" || Boolean(picture.maps))
      && this.range.holds(picture.scores[this.by]);
  }

  /** Pictures that pass, in the order asked for; those without the score come last. */
  ordered() {
    const sign = this.chosen("order") === "up" ? 1 : -1;
    const score = (picture) => picture.scores[this.by];
    return this.album.pictures.filter((p) => this.passes(p)).sort((a, b) => {
      if (score(a) === null || score(b) === null) return (score(a) === null) - (score(b) === null);
      return sign * (score(a) - score(b)) || a.index - b.index;
    });
  }

  refresh() {
    this.pictures = this.ordered();
    this.groups = this.chosen("layout") === "rows" ? this.rows() : this.pictures.map((p) => [p]);
    this.pictures = this.groups.flat();
    this.list.classList.toggle("by-prompt", this.chosen("layout") === "rows");
    this.list.replaceChildren();
    this.shown = 0;
    this.extend();
  }

  /** Pictures of one prompt and seed together; a group stands where its first picture would. */
  rows() {
    const groups = new Map();
    for (const picture of this.pictures) {
      const cell = this.album.cell(picture);
      if (!groups.has(cell)) groups.set(cell, []);
      groups.get(cell).push(picture);
    }
    return [...groups.values()].map((group) => group.sort((a, b) => this.album.place(a) - this.album.place(b)));
  }

  extend() {
    let room = PAGE;
    const first = this.shown;
    while (this.shown < this.groups.length && room > 0) {
      const group = this.groups[this.shown];
      this.list.append(this.chosen("layout") === "rows" ? this.row(group) : this.card(group[0]));
      room -= group.length;
      this.shown += 1;
    }
    if (first > 0) this.list.children[first]?.querySelector("button")?.focus();
    this.tell();
  }

  tell() {
    const drawn = this.groups.slice(0, this.shown).flat().length;
    const found = this.pictures.length;
    const all = this.album.pictures.length;
    this.more.hidden = drawn === found;
    this.more.textContent = `Show ${Math.min(PAGE, found - drawn)} more`;
    this.status.textContent = found === 0
      ? "No picture passes; widen the range or reset the choices."
      : `${found === all ? `All ${all}` : `${found} of ${all}`} pictures pass; ${drawn} are drawn.`;
  }

  row(group) {
    const title = this.album.title(group[0]);
    return element("li", { class: "cell" },
      element("p", { class: "prompt", dir: "auto" }, shortened(title, 200)),
      element("ul", {}, ...group.map((picture) => this.card(picture, false))));
  }

  card(picture, withPrompt = true) {
    const score = this.album.scores[this.by];
    const value = picture.scores[this.by];
    const sheet = this.album.drawn(picture);
    const layer = this.chosen("map") ? this.album.layer(picture, this.chosen("map")) : null;
    if (layer) sheet.append(layer);
    const title = shortened(this.album.title(picture), 120);
    const label = `Enlarge: ${title}, ${score.label} ${written(value, score.digits)}${picture.maps ? ", with map" : ""}`;
    return element("li", { class: `plate ${this.album.tone(picture)}` },
      element("button", {
        type: "button", class: "frame", "aria-label": label, "data-open": picture.index,
        on: { click: () => this.open(picture, this.pictures) },
      }, sheet, picture.maps ? element("span", { class: "badge" }, "map") : null),
      element("div", { class: "reading" },
        element("span", { class: "who", dir: "auto" }, ...breakable(picture.checkpoint || picture.name)),
        element("b", {}, written(value, score.digits))),
      rail(value, score),
      withPrompt ? element("p", { class: "prompt", dir: "auto" }, picture.prompt || "no prompt") : null);
  }
}

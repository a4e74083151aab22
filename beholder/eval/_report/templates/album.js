/* What the page knows of its pictures. Their bytes stay in elements of their own until drawn. */

class Album {
  constructor(said) {
    Object.assign(this, said); // scores, checkpoints, categories, kinds, pictures
    this.pictures.forEach((picture, index) => { picture.index = index; });
    this.cells = new Map();
    for (const picture of this.pictures) {
      const cell = this.cell(picture);
      if (!this.cells.has(cell)) this.cells.set(cell, []);
      this.cells.get(cell).push(picture);
    }
    for (const members of this.cells.values()) {
      members.sort((a, b) => this.place(a) - this.place(b) || a.index - b.index);
    }
  }

  static read() {
    const said = document.getElementById("album");
    return said ? new Album(JSON.parse(said.textContent)) : null;
  }

  /** Pictures of one prompt and seed can be compared. */
  cell(picture) { return JSON.stringify([picture.prompt, picture.seed]); }

  /** Its checkpoint's place in the order of the page. */
  place(picture) { return this.checkpoints.indexOf(picture.checkpoint); }

  /** The same prompt and seed by every checkpoint, best checkpoint first. */
  siblings(picture) { return this.cells.get(this.cell(picture)); }

  tone(picture) { return `tone-${Math.max(this.place(picture), 0) % 8}`; }

  title(picture) { return picture.prompt || picture.name || "a picture without a prompt"; }

  /** The picture, or the reason why it cannot be drawn, in a box of its shape. */
  drawn(picture, { eager = false } = {}) {
    if (picture.missing) {
      return element("div", { class: "missing", role: "img", "aria-label": `Picture not shown: ${picture.missing}` },
        element("span", { class: "reason", dir: "auto" }, shortened(picture.missing, 240)));
    }
    const image = element("img", {
      src: this.address(`picture-${picture.index}`, "webp"),
      width: picture.width,
      height: picture.height,
      alt: shortened(`${picture.checkpoint ? `${picture.checkpoint}: ` : ""}${this.title(picture)}`, 160),
      decoding: "async",
      loading: eager ? "eager" : "lazy",
    });
    return element("div", { class: "sheet", style: `--ratio: ${picture.width / picture.height}` }, image);
  }

  /** A map of the picture as a layer over its sheet; null if it has none of that kind. */
  layer(picture, kind) {
    const map = (picture.maps || []).find((one) => one.kind === kind);
    if (!map || picture.missing) return null;
    const [left, top, width, height] = map.box;
    const layer = element("img", { class: "layer", src: this.address(map.id, "png"), alt: `Map of ${kind}` });
    Object.assign(layer.style, { left: `${left}%`, top: `${top}%`, width: `${width}%`, height: `${height}%` });
    return layer;
  }

  address(id, type) {
    return `data:image/${type};base64,${document.getElementById(id).textContent}`;
  }
}

/* Everything that the page can do with a script; without one all findings are there to read. */

function start() {
  offerTheme();
  const album = Album.read();
  if (!album) return;
  const viewer = new Viewer(album, document.getElementById("viewer"));
  new Gallery(album, document.getElementById("album-view"), (picture, all) => viewer.open(picture, all));
  offerEnlarging(album, viewer);
}

/** Drawings of the page that the album holds too become buttons that enlarge them. */
function offerEnlarging(album, viewer) {
  for (const frame of document.querySelectorAll("[data-picture]")) {
    const picture = album.pictures[Number(frame.dataset.picture)];
    const among = [...frame.closest("[data-among]").querySelectorAll("[data-picture]")]
      .map((one) => album.pictures[Number(one.dataset.picture)]);
    const isPair = frame.closest("[data-among]").dataset.among === "pair";
    frame.append(element("button", {
      type: "button",
      class: "enlarge",
      "aria-label": `${isPair ? "Compare" : "Enlarge"}: ${shortened(album.title(picture), 120)}`,
      on: { click: () => (isPair ? viewer.compare(picture, among) : viewer.open(picture, among)) },
    }));
  }
}

start();

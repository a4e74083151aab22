/* A range of scores chosen with two sliders on top of the histogram of all pictures on the page. */

const BARS = 40;
const STEPS = 200;

class Range {
  constructor(root, changed) {
    this.root = root;
    this.low = root.querySelector("[data-low]");
    this.high = root.querySelector("[data-high]");
    this.said = root.querySelector("output");
    for (const slider of [this.low, this.high]) {
      slider.max = STEPS;
      slider.addEventListener("input", () => { this.keepOrder(slider); this.tell(); changed(); });
    }
  }

  /** Take another score: its axis, its values, the whole range. */
  measure(score, values) {
    this.score = score;
    this.low.value = 0;
    this.high.value = STEPS;
    this.draw(values);
    this.tell();
  }

  value(slider) {
    const { low, high } = this.score;
    return low + (high - low) * Number(slider.value) / STEPS;
  }

  get isWhole() { return Number(this.low.value) === 0 && Number(this.high.value) === STEPS; }

  holds(value) {
    if (this.isWhole) return true;
    if (value === null) return false;
    const slack = 1e-9 * (this.score.high - this.score.low);
    return value >= this.value(this.low) - slack && value <= this.value(this.high) + slack;
  }

  keepOrder(moved) {
    if (Number(this.low.value) <= Number(this.high.value)) return;
    const other = moved === this.low ? this.high : this.low;
    other.value = moved.value;
  }

  tell() {
    const texts = [this.low, this.high].map((slider) => written(this.value(slider), this.score.digits));
    this.low.setAttribute("aria-valuetext", texts[0]);
    this.high.setAttribute("aria-valuetext", texts[1]);
    this.said.textContent = texts.join(" to ");
    this.root.querySelectorAll("rect").forEach((bar, k) => {
      const middle = (k + 0.5) / BARS * STEPS;
      bar.classList.toggle("out", middle < Number(this.low.value) || middle > Number(this.high.value));
    });
  }

  draw(values) {
    const tally = new Array(BARS).fill(0);
    for (const value of values) {
      if (value !== null) tally[Math.min(Math.floor(placed(value, this.score) / 100 * BARS), BARS - 1)] += 1;
    }
    const peak = Math.max(...tally, 1);
    const bars = tally.map((count, k) => drawing("rect", {
      x: `${100 * k / BARS}%`, width: `${100 / BARS - 0.4}%`,
      y: `${100 - 100 * count / peak}%`, height: `${100 * count / peak}%`,
    }));
    this.root.querySelector("svg").replaceChildren(...bars);
  }
}

// The viewer: parts of data sets come by segcertViewer.take, from the page itself or from files beside it.
"use strict";

const segcertViewer = (() => {
  const parts = new Map();     // "dataset/part": what was taken
  const awaited = new Map();   // "dataset/part": what to call when it comes
  const sources = new Map();   // "dataset/part": the file beside the page that holds it
  const opened = new WeakMap(); // compressed strings of a part that were unpacked already, and decoded pictures

  const CLASS_COLORS = ["#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00", "#0072B2"];
  const WRONG = "#D55E00";
  const ABSTAIN = 255;
  const [LIGHT, DARK] = [[255, 255, 255, 242], [70, 70, 70, 191]]; // stripes
  const [TINT, SOLID, FAINT] = [140, 230, 90]; // opacity
  // Cividis, for those who see colours and those who do not
  const RAMP = ["#00224E", "#123570", "#3B496C", "#575D6D", "#707173", "#8A8678", "#A59C74", "#C3B369", "#E1CC55", "#FEE838"];
  const LAYERS = {
    image: "image", noisy: "noisy copy", denoised: "denoised copy", truth: "ground truth",
    prediction: "prediction, no noise", certified: "certified labels", radius: "certified radius",
    difference: "certified against truth",
  };

  function take(dataset, part, content) {
    const key = `${dataset}/${part}`;
    parts.set(key, content);
    awaited.get(key)?.(content);
    awaited.delete(key);
  }

  function need(dataset, part) {
    const key = `${dataset}/${part}`;
    if (parts.has(key)) return Promise.resolve(parts.get(key));
    return new Promise((resolve, reject) => {
      awaited.set(key, resolve);
      const script = document.createElement("script");
      script.src = sources.get(key);
      script.onerror = () => reject(new Error(`${script.src} is missing: it belongs beside this page`));
      document.head.append(script);
    });
  }

  // ---- unpacking

  function once(owner, name, make) {
    if (!opened.has(owner)) opened.set(owner, new Map());
    const known = opened.get(owner);
    if (!known.has(name)) known.set(name, make());
    return known.get(name);
  }

  const bytes = (owner, name) => once(owner, name, async () => {
    const packed = Uint8Array.from(atob(owner[name]), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  });

  const picture = (sprite) => once(sprite, "png", async () => {
    const sheet = new Image();
    sheet.src = sprite.png;
    await sheet.decode();
    return sheet;
  });

  async function map(owner, name, number, [height, width]) {
    return (await bytes(owner, name)).subarray(number * height * width, (number + 1) * height * width);
  }

  // ---- painting: each layer on a canvas of its own, enlarged so that the hatching of a pixel can be seen

  const rgb = (color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));

  async function paintSprite(canvas, sprite, tile) {
    const sheet = await picture(sprite);
    const { columns, width, height } = sprite;
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(
      sheet, (tile % columns) * width, Math.floor(tile / columns) * height, width, height, 0, 0, canvas.width, canvas.height,
    );
  }

  // Colour the picture on a canvas pixel by pixel: `color(at)` is null (as it is), red, green, blue and opacity, or "hatch".
  function tint(canvas, [height, width], color) {
    const context = canvas.getContext("2d");
    const scale = canvas.width / width;
    const stripe = Math.max(2, Math.round(scale / 2));
    const overlay = new ImageData(canvas.width, canvas.height);
    for (let at = 0; at < height * width; at++) {
      const found = color(at);
      if (!found) continue;
      const [top, left] = [Math.floor(at / width) * scale, (at % width) * scale];
      for (let y = top; y < top + scale; y++) {
        for (let x = left; x < left + scale; x++) {
          const stripes = Math.floor((x + y) / stripe) % 2 ? DARK : LIGHT;
          overlay.data.set(found === "hatch" ? stripes : found, 4 * (y * canvas.width + x));
        }
      }
    }
    const sheet = new OffscreenCanvas(canvas.width, canvas.height);
    sheet.getContext("2d").putImageData(overlay, 0, 0);
    context.drawImage(sheet, 0, 0);
  }

  const byClass = (labels) => (at) => {
    if (labels[at] === ABSTAIN) return "hatch";
    return labels[at] ? [...rgb(CLASS_COLORS[(labels[at] - 1) % CLASS_COLORS.length]), TINT] : null;
  };

  const rampColor = (level, levels) => RAMP[levels < 2 ? RAMP.length - 1 : Math.round((level - 1) / (levels - 1) * (RAMP.length - 1))];

  const painters = {
    async image(canvas, view) { await paintSprite(canvas, view.images.image, view.number); },
    async noisy(canvas, view) {
      if (view.tile === null) return "No noisy copy of this image was kept (report.viewer in the configuration).";
      await paintSprite(canvas, view.noise.noisy, view.tile);
    },
    async denoised(canvas, view) {
      if (view.denoiser === "none") return "This model has no denoiser in front of it.";
      if (view.tile === null) return "No denoised copy of this image was kept (report.viewer in the configuration).";
      await paintSprite(canvas, view.noise.denoised[view.denoiser], view.tile);
    },
    async truth(canvas, view) {
      await painters.image(canvas, view);
      tint(canvas, view.size, byClass(view.truth));
    },
    async prediction(canvas, view) {
      await painters.image(canvas, view);
      tint(canvas, view.size, byClass(await map(view.maps, "prediction", view.number, view.size)));
    },
    async certified(canvas, view) {
      await painters.image(canvas, view);
      tint(canvas, view.size, byClass(view.labels));
    },
    async radius(canvas, view) {
      await painters.image(canvas, view);
      const levels = await map(view.behind, "levels", view.number, view.size);
      const most = view.behind.radii.length;
      tint(canvas, view.size, (at) => (levels[at] ? [...rgb(rampColor(levels[at], most)), SOLID] : "hatch"));
    },
    async difference(canvas, view) {
      await painters.image(canvas, view);
      const { labels, truth } = view;
      tint(canvas, view.size, (at) => {
        if (labels[at] === ABSTAIN) return "hatch";
        if (labels[at] !== truth[at]) return [...rgb(WRONG), SOLID];
        return truth[at] ? [...rgb(CLASS_COLORS[6]), FAINT] : null;
      });
    },
  };

  async function paint(canvas, layer, view) {
    const [height, width] = view.size;
    const scale = Math.max(1, Math.ceil(512 / width));
    canvas.width = width * scale;
    canvas.height = height * scale;
    const missing = await painters[layer](canvas, view);
    canvas.hidden = Boolean(missing);
    canvas.setAttribute("aria-label", `${LAYERS[layer]} of ${view.name}`);
    return missing ?? "";
  }

  // ---- controls

  const shown = (value, digits = 3) =>
    value === null ? "n/a" : typeof value === "string" ? value.replace("inf", "\u221e") : value.toFixed(digits);
  const rounded = (value) =>
    typeof value === "number" ? (Math.abs(value) < 100 ? String(Number(value.toPrecision(3))) : value.toFixed(0)) : shown(value);

  function element(tag, text, attributes = {}) {
    const made = document.createElement(tag);
    made.textContent = text;
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  }

  function number(value, text) {
    return element("data", text, { value: value ?? "nan" });
  }

  function start(root, manifest) {
    for (const { dataset, part, file } of manifest.parts) if (file) sources.set(`${dataset}/${part}`, file);
    const at = (name) => root.querySelector(`[data-viewer="${name}"]`);
    const controls = Object.fromEntries(["dataset", "model", "sigma", "image", "left", "right"].map((name) => [name, at(name)]));
    const state = { at: 50 };
    let turn = 0; // of the latest drawing: an earlier one that ends late draws nothing

    const fill = (select, options) => select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
    fill(controls.dataset, manifest.datasets.map(({ name, title }) => [name, title]));
    fill(controls.model, manifest.models.map(({ key, words }) => [key, words]));
    fill(controls.sigma, manifest.sigmas.map((sigma) => [sigma, `sigma ${sigma}`]));
    for (const side of ["left", "right"]) fill(controls[side], Object.entries(LAYERS));

    function choose(name, value) {
      const known = [...controls[name].options].some((option) => option.value === value);
      if (known) controls[name].value = value;
      return known;
    }

    // The images of a data set by their certified Dice under the chosen model and sigma, the worst five and the best first.
    function rank(images, behind) {
      const dice = behind.numbers.map(({ classes }) => {
        const defined = classes.map((each) => each.certified_dice).filter((value) => value !== null);
        return defined.length ? defined.reduce((sum, value) => sum + value) / defined.length : null;
      });
      const order = images.names.map((_, index) => index).filter((index) => dice[index] !== null).sort((a, b) => dice[a] - dice[b]);
      const worst = order.slice(0, 5);
      const best = order.slice(5).slice(-5).reverse();
      const rest = images.names.map((_, index) => index).filter((index) => !worst.includes(index) && !best.includes(index));
      const before = controls.image.value;
      controls.image.replaceChildren();
      for (const [title, members] of [["worst", worst], ["best", best], ["others", rest]]) {
        if (!members.length) continue;
        const group = document.createElement("optgroup");
        group.label = title === "others" ? "others" : `${title} ${members.length}, by certified Dice`;
        for (const index of members) {
          group.append(new Option(`${images.names[index]} (${shown(dice[index])})`, images.names[index]));
        }
        controls.image.append(group);
      }
      if (!choose("image", before)) controls.image.selectedIndex = 0;
    }

    async function look() {
      const { dataset, model, sigma } = Object.fromEntries(Object.entries(controls).map(([name, select]) => [name, select.value]));
      const [segmenter, denoiser] = model.split("/");
      const [images, noise, maps] = await Promise.all([need(dataset, "images"), need(dataset, sigma), need(dataset, segmenter)]);
      return { images, noise, maps, denoiser, behind: maps.behind[`${denoiser}/${sigma}`] };
    }

    async function draw({ ranked = false } = {}) {
      const mine = ++turn;
      root.dataset.drawing = "";
      at("error").hidden = true;
      try {
        const view = await look();
        if (mine !== turn) return;
        if (ranked) rank(view.images, view.behind);
        if (state.image) choose("image", state.image);
        state.image = controls.image.value;
        view.number = view.images.names.indexOf(controls.image.value);
        view.name = controls.image.value;
        view.size = view.images.size;
        view.tile = view.noise.tile[view.number];
        view.truth = await map(view.images, "truth", view.number, view.size);
        view.labels = await map(view.behind, "certified", view.number, view.size);
        for (const side of ["left", "right"]) {
          const missing = await paint(at(`${side}-canvas`), controls[side].value, view);
          at(`${side}-missing`).textContent = missing;
        }
        for (const layer of Object.keys(LAYERS)) {
          const button = root.querySelector(`[data-layer="${layer}"]`);
          const missing = await paint(button.querySelector("canvas"), layer, view);
          button.querySelector(".missing").textContent = missing;
          button.setAttribute("aria-pressed", String(controls.right.value === layer));
        }
        legend(view);
        numbers(view);
        remember();
      } catch (error) {
        if (mine !== turn) return;
        at("error").textContent = error.message;
        at("error").hidden = false;
      }
      root.dataset.drawing = "done";
    }

    function legend(view) {
      const swatch = (color, text) => {
        const item = document.createElement("li");
        const box = element("span", "", { class: color ? "swatch" : "swatch hatch" });
        if (color) box.style.background = color;
        item.append(box, text);
        return item;
      };
      const classes = view.images.classes.slice(1).map((title, index) => swatch(CLASS_COLORS[index % CLASS_COLORS.length], title));
      const { radii } = view.behind;
      const ramp = radii.map((radius, index) => swatch(rampColor(index + 1, radii.length), `below ${rounded(radius)}`));
      at("classes").replaceChildren(...classes, swatch(null, "abstains: nothing is certified"));
      at("radii").replaceChildren(...ramp, swatch(null, "no radius"));
      at("differences").replaceChildren(
        swatch(CLASS_COLORS[6], "certified, and so in the truth"), swatch(WRONG, "certified, and not so in the truth"),
        swatch(null, "abstains"),
      );
    }

    function numbers(view) {
      const { classes, abstain, radius, radius_gray_levels: gray } = view.behind.numbers[view.number];
      at("facts").replaceChildren(
        element("strong", view.name), ` (group ${view.images.groups[view.number]}): abstains on `,
        number(abstain, `${(100 * abstain).toFixed(1)}%`), " of the pixels; certified against any change with an l2 norm below ",
        number(radius, shown(radius)), " (pixels in [0, 1]), which is ", number(gray, shown(gray, 2)), " gray levels RMS.",
      );
      const row = (cells) => {
        const made = document.createElement("tr");
        cells.forEach((cell, index) => {
          const box = index ? document.createElement("td") : element("th", "", { scope: "row", class: "text" });
          box.append(...[cell].flat());
          made.append(box);
        });
        return made;
      };
      at("numbers").replaceChildren(...classes.map((each) => row([
        each.class_name,
        ...["dice", "iou", "certified_dice", "certified_iou", "worst_case_dice"].map((name) => number(each[name], shown(each[name]))),
        number(each.area, rounded(each.area)),
        [number(each.area_low, rounded(each.area_low)), " to ", number(each.area_high, rounded(each.area_high))],
      ])));
      const intervals = view.behind.intervals[view.number];
      at("intervals").closest("table").hidden = !intervals.length;
      at("intervals").replaceChildren(...intervals.map((each) => row([
        each.unit ? `${each.measurement} (${each.unit})` : each.measurement,
        number(each.truth, rounded(each.truth)), number(each.clean, rounded(each.clean)), number(each.median, rounded(each.median)),
        [number(each.low, rounded(each.low)), " to ", number(each.high, rounded(each.high))],
        each.threshold === null ? "" : `${each.decision} ${each.decision === "open" ? "at" : ""} ${rounded(each.threshold)}`,
      ])));
    }

    // ---- the address of a view

    function remember() {
      const query = new URLSearchParams(Object.entries(controls).map(([name, select]) => [name, select.value]));
      query.set("at", state.at);
      const hash = `#view?${query}`;
      at("link").href = hash;
      if (state.touched) history.replaceState(null, "", hash);
    }

    function recall() {
      if (!location.hash.startsWith("#view?")) return false;
      const query = new URLSearchParams(location.hash.slice("#view?".length));
      for (const name of Object.keys(controls)) if (name !== "image" && query.has(name)) choose(name, query.get(name));
      state.image = query.get("image");
      divide(Number(query.get("at") ?? 50));
      return true;
    }

    function divide(percent) {
      state.at = Math.min(100, Math.max(0, Number.isFinite(percent) ? percent : 50));
      at("divider").value = state.at;
      at("over").style.clipPath = `inset(0 0 0 ${state.at}%)`;
      at("line").style.left = `${state.at}%`;
    }

    function step(by) {
      const { options, selectedIndex } = controls.image;
      controls.image.selectedIndex = (selectedIndex + by + options.length) % options.length;
      change({ image: controls.image.value });
    }

    function change({ image, ranked = false }) {
      state.touched = true;
      state.image = image ?? controls.image.value;
      return draw({ ranked });
    }

    for (const name of ["dataset", "model", "sigma"]) {
      controls[name].addEventListener("change", () => {
        if (name === "dataset") { state.image = null; controls.image.replaceChildren(); }
        state.touched = true;
        draw({ ranked: true });
      });
    }
    for (const name of ["image", "left", "right"]) controls[name].addEventListener("change", () => change({}));
    at("previous").addEventListener("click", () => step(-1));
    at("next").addEventListener("click", () => step(1));
    at("divider").addEventListener("input", (event) => {
      divide(Number(event.target.value));
      state.touched = true;
      remember();
    });
    for (const button of root.querySelectorAll("[data-layer]")) {
      button.addEventListener("click", () => {
        controls.right.value = button.dataset.layer;
        change({});
      });
    }
    const stage = at("stage");
    const drag = (event) => {
      if (!(event.buttons & 1)) return;
      const { left, width } = stage.getBoundingClientRect();
      divide(Math.round(100 * (event.clientX - left) / width));
      state.touched = true;
      remember();
    };
    stage.addEventListener("pointerdown", drag);
    stage.addEventListener("pointermove", drag);
    addEventListener("hashchange", () => { if (recall()) { root.scrollIntoView(); draw({ ranked: true }); } });

    controls.left.value = "image";
    controls.right.value = "certified";
    controls.model.value = manifest.first;
    controls.sigma.value = manifest.sigmas[Math.floor(manifest.sigmas.length / 2)];
    divide(50);
    const linked = recall();
    root.hidden = false;
    draw({ ranked: true }).then(() => { if (linked) root.scrollIntoView(); });
  }

  return { take, start };
})();

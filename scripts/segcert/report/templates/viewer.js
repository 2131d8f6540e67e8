// The viewer's controls. Parts of its data arrive through segcertViewer.take.
"use strict";

const segcertViewer = (() => {
  const { CLASS_COLORS, LAYERS, WRONG, map, need, paint, place, rampColor, take } = segcertPictures;

  function show({ layer, canvas, missing }, view, target, words) {
    target.width = canvas.width;
    target.height = canvas.height;
    target.getContext("2d").drawImage(canvas, 0, 0);
    target.hidden = Boolean(missing);
    target.setAttribute("aria-label", `${LAYERS[layer]} of ${view.name}`);
    words.textContent = missing;
  }

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
    for (const { dataset, part, file } of manifest.parts) if (file) place(dataset, part, file);
    const at = (name) => root.querySelector(`[data-viewer="${name}"]`);
    const controls = Object.fromEntries(["dataset", "model", "sigma", "image", "left", "right"].map((name) => [name, at(name)]));
    const state = { at: 50, unranked: true, lost: [] }; // lost: values in a link that do not exist on this page
    let drawn = null; // the current view with its painted layers
    let turn = 0; // number of the latest drawing; earlier drawings that finish late are discarded

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

    // Group the images of a data set by certified Dice under the chosen model and sigma: the worst five, the best five, the
    // others. The viewer opens with the typical image, which has the median certified Dice.
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
        group.label = title === "others" ? "others" : `${title} ${members.length} of the ${images.names.length} shown, by certified Dice`;
        for (const index of members) {
          group.append(new Option(`${images.names[index]} (${shown(dice[index])})`, images.names[index]));
        }
        controls.image.append(group);
      }
      const typical = order[Math.max(0, Math.floor((order.length - 1) / 2))] ?? 0;
      if (!choose("image", before)) choose("image", images.names[typical]);
    }

    function say(words) {
      at("error").textContent = words;
      at("error").hidden = !words;
    }

    async function look() {
      const { dataset, model, sigma } = Object.fromEntries(Object.entries(controls).map(([name, select]) => [name, select.value]));
      const [segmenter, denoiser] = model.split("/");
      const [images, noise, maps] = await Promise.all([need(dataset, "images"), need(dataset, sigma), need(dataset, segmenter)]);
      return { images, noise, maps, denoiser, behind: maps.behind[`${denoiser}/${sigma}`] };
    }

    async function draw() {
      const mine = ++turn;
      drawn = null;
      root.dataset.drawing = "";
      say("");
      try {
        const view = await look();
        if (mine !== turn) return;
        if (state.unranked) rank(view.images, view.behind);
        state.unranked = false;
        if (state.image && !choose("image", state.image)) state.lost.push(state.image);
        state.image = controls.image.value;
        view.number = view.images.names.indexOf(controls.image.value);
        view.name = controls.image.value;
        view.size = view.images.size;
        view.tile = view.noise.tile[view.number];
        view.truth = await map(view.images, "truth", view.number, view.size);
        view.labels = await map(view.behind, "certified", view.number, view.size);
        const painted = {};
        for (const layer of Object.keys(LAYERS)) painted[layer] = await paint(layer, view);
        if (mine !== turn) return;
        for (const button of root.querySelectorAll("[data-layer]")) {
          show(painted[button.dataset.layer], view, button.querySelector("canvas"), button.querySelector(".missing"));
        }
        drawn = { view, painted };
        legend(view);
        numbers(view);
        compare();
        if (state.lost.length) say(`The link contains values that this page lacks: ${state.lost.join(", ")}. Therefore, the viewer shows a different view.`);
        state.lost = [];
      } catch (error) {
        if (mine !== turn) return;
        say(error.message);
      }
      root.dataset.drawing = "done";
    }

    // Show the two chosen layers, which are already painted.
    function compare() {
      if (!drawn) return draw();
      for (const side of ["left", "right"]) {
        show(drawn.painted[controls[side].value], drawn.view, at(`${side}-canvas`), at(`${side}-missing`));
      }
      for (const button of root.querySelectorAll("[data-layer]")) {
        button.setAttribute("aria-pressed", String(controls.right.value === button.dataset.layer));
      }
      remember();
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
        swatch(CLASS_COLORS[6], "certified and correct"), swatch(WRONG, "certified and wrong"),
        swatch(null, "abstains"),
      );
    }

    function numbers(view) {
      const { classes, abstain, radius, radius_gray_levels: gray } = view.behind.numbers[view.number];
      at("facts").replaceChildren(
        element("strong", view.name), ` (group ${view.images.groups[view.number]}): abstains on `,
        number(abstain, `${(100 * abstain).toFixed(1)}%`), " of the pixels; certified against any perturbation with an l2 norm below ",
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
        ...["dice", "iou", "vote_dice", "certified_dice", "certified_iou", "worst_case_dice"]
          .filter((name) => name in each) // a weaker method lacks one of them
          .map((name) => number(each[name], shown(each[name]))),
        number(each.area, rounded(each.area)),
        ...("area_low" in each ? [[number(each.area_low, rounded(each.area_low)), " to ", number(each.area_high, rounded(each.area_high))]] : []),
      ])));
      const intervals = view.behind.intervals[view.number];
      at("intervals").closest("table").hidden = !intervals.length;
      at("intervals").replaceChildren(...intervals.map((each) => row([
        each.unit ? `${each.measurement} (${each.unit})` : each.measurement,
        number(each.truth, rounded(each.truth)), number(each.clean, rounded(each.clean)), number(each.median, rounded(each.median)),
        [number(each.low, rounded(each.low)), " to ", number(each.high, rounded(each.high))],
        each.threshold === null ? "" : `${each.decision} ${each.decision === "open" ? "at " : ""}${rounded(each.threshold)}${each.against_truth && `: ${each.against_truth}`}`,
      ])));
    }

    // ---- links to views

    function remember() {
      const query = new URLSearchParams(Object.entries(controls).map(([name, select]) => [name, select.value]));
      query.set("at", state.at);
      const hash = `#view?${query}`;
      at("link").href = hash;
      if (state.touched && location.protocol !== "about:") history.replaceState(null, "", hash); // an embedded page has no address
    }

    function recall() {
      if (!location.hash.startsWith("#view?")) return false;
      const query = new URLSearchParams(location.hash.slice("#view?".length));
      const named = Object.keys(controls).filter((name) => name !== "image" && query.has(name));
      state.lost = named.map((name) => [name, query.get(name)]).filter((each) => !choose(...each)).map(([, value]) => value);
      state.image = query.get("image");
      state.unranked = true;
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
      change();
    }

    function change() {
      state.touched = true;
      state.image = controls.image.value;
      draw();
    }

    for (const name of ["dataset", "model", "sigma"]) {
      controls[name].addEventListener("change", () => {
        if (name === "dataset") { state.image = null; controls.image.replaceChildren(); }
        state.touched = state.unranked = true;
        draw();
      });
    }
    controls.image.addEventListener("change", change);
    for (const side of ["left", "right"]) {
      controls[side].addEventListener("change", () => {
        state.touched = true;
        compare();
      });
    }
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
        state.touched = true;
        compare();
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
    addEventListener("hashchange", () => { if (recall()) { root.scrollIntoView(); draw(); } });

    controls.left.value = "image";
    controls.right.value = "certified";
    controls.model.value = manifest.first;
    controls.sigma.value = manifest.sigmas[Math.floor(manifest.sigmas.length / 2)];
    divide(50);
    const linked = recall();
    root.hidden = false;
    draw().then(() => { if (linked) root.scrollIntoView(); });
  }

  return { take, start };
})();

// The viewer's data and layers. Parts of data sets are read from the page or from files next to it.
"use strict";

const segcertPictures = (() => {
  const parts = new Map();     // content by "dataset/part"
  const loading = new Map();   // promise of a part that is being loaded, by "dataset/part"
  const sources = new Map();   // file next to the page, by "dataset/part"
  const opened = new WeakMap(); // unpacked strings and decoded images, by the object that contains them
  const kept = [];             // functions that remove entries from `opened`, for the oldest entry first
  const MOST = 24;             // largest number of entries in `opened`, because all views of a large run would fill the memory

  const CLASS_COLORS = segcertColors; // defined by the page
  const WRONG = "#D55E00";
  const ABSTAIN = 255;
  const [LIGHT, DARK] = [[255, 255, 255, 242], [70, 70, 70, 191]]; // stripes
  const [TINT, SOLID, FAINT] = [140, 230, 90]; // opacity
  // Cividis, a colour map for readers with and without colour blindness
  const RAMP = ["#00224E", "#123570", "#3B496C", "#575D6D", "#707173", "#8A8678", "#A59C74", "#C3B369", "#E1CC55", "#FEE838"];
  const LAYERS = {
    image: "image", noisy: "noisy copy", denoised: "denoised copy", truth: "ground truth",
    prediction: "prediction, no noise", certified: "certified labels", radius: "certified radius",
    difference: "certified vs. truth",
  };

  function take(dataset, part, content) {
    parts.set(`${dataset}/${part}`, content);
  }

  function need(dataset, part) {
    const key = `${dataset}/${part}`;
    if (parts.has(key)) return Promise.resolve(parts.get(key));
    if (!loading.has(key)) loading.set(key, load(key).finally(() => loading.delete(key)));
    return loading.get(key);
  }

  function load(key) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = sources.get(key);
      script.onload = () => parts.has(key) ? resolve(parts.get(key)) : reject(new Error(`${script.src} is damaged`));
      script.onerror = () => reject(new Error(`${script.src} is missing: keep it next to this page`));
      document.head.append(script);
    });
  }

  // ---- unpacking

  function once(owner, name, make) {
    if (!opened.has(owner)) opened.set(owner, new Map());
    const known = opened.get(owner);
    if (!known.has(name)) {
      known.set(name, make());
      kept.push(() => known.delete(name));
      if (kept.length > MOST) kept.shift()();
    }
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

  // ---- painting: each layer has a separate canvas, which is enlarged so that the hatching within a pixel is visible

  const blank = (width, height) => Object.assign(document.createElement("canvas"), { width, height });

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

  // Colour the image on a canvas pixel by pixel. `color(at)` returns null (no change), [red, green, blue, opacity] or "hatch".
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
    const sheet = blank(canvas.width, canvas.height);
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
      if (view.tile === null) return "This page contains no noisy copy of this image (configuration key: report.viewer).";
      await paintSprite(canvas, view.noise.noisy, view.tile);
    },
    async denoised(canvas, view) {
      if (view.denoiser === "none") return "This model has no denoiser in front of it.";
      if (view.tile === null) return "This page contains no denoised copy of this image (configuration key: report.viewer).";
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

  async function paint(layer, view) {
    const [height, width] = view.size;
    const scale = Math.max(1, Math.ceil(512 / width));
    const canvas = blank(width * scale, height * scale);
    return { layer, canvas, missing: (await painters[layer](canvas, view)) ?? "" };
  }

  const place = (dataset, part, file) => sources.set(`${dataset}/${part}`, file);

  return { CLASS_COLORS, LAYERS, WRONG, map, need, paint, place, rampColor, take };
})();

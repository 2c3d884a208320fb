"use strict";
// The linked viewers of the report. Without WebGL 2 the still images are shown.
(async () => {
  const byId = (id) => document.getElementById(id);
  const facts = JSON.parse(byId("facts").textContent);
  const content = (name) => byId(`volume-${name}`)?.textContent;

  const SQUARE_MM = 24; // of the checkerboard
  const MAP_STRENGTH = 0.6; // opacity of a measured map over the fixed scan
  const LABELS_INTENT = 1002; // NIfTI's code for label maps; NiiVue outlines volumes that have it
  const OUTLINE_ONLY = 0.01; // opacity of what an outline encloses
  const DEPTH = 256; // entries of a colour table

  const options = {
    backColor: [0.051, 0.067, 0.09, 1],
    crosshairColor: [0.37, 0.79, 1, 0.75],
    crosshairWidth: 1,
    crosshairGap: 8,
    dragAndDropEnabled: false,
    fontColor: [0.68, 0.73, 0.78, 1],
    fontMinPx: 13,
    isRadiologicalConvention: true,
    loadingText: "",
    logLevel: "silent",
    multiplanarLayout: 3, // planes in a row
    multiplanarPadPixels: 10,
    multiplanarShowRender: 0, // no 3-D view
    sagittalNoseLeft: true,
    tileMargin: 0,
  };

  const stayStill = (why) => {
    byId("why-still").textContent = `These are still images: ${why}`;
    document.body.dataset.viewers = "still";
  };

  const load = async (name, more = {}) => {
    const image = await niivue.NVImage.loadFromBase64({ base64: content(name), name: `${name}.nii.gz`, ...more });
    if (more.cal_max !== undefined) [image.cal_min, image.cal_max] = [more.cal_min, more.cal_max];
    return image;
  };

  const inWindow = (image, [low, high]) => {
    [image.cal_min, image.cal_max] = [low, high];
    return image;
  };

  // Entry 0 is transparent: unknown values.
  const mapColours = (anchors) => {
    const steps = anchors.map((_, i) => Math.round(1 + ((DEPTH - 2) * i) / (anchors.length - 1)));
    const channel = (c) => [0, ...anchors.map((anchor) => anchor[c])];
    return { R: channel(0), G: channel(1), B: channel(2), A: [0, ...anchors.map(() => 255)], I: [0, ...steps] };
  };

  const labelColours = () => {
    const values = [...Array(DEPTH).keys()];
    const channel = (c) => values.map((v) => (v ? facts.outlines[(v - 1) % facts.outlines.length][c] : 0));
    return { R: channel(0), G: channel(1), B: channel(2), A: values.map((v) => (v ? 255 : 0)), I: values };
  };

  const combined = (fixed, moved, { name, colormap }, value) => {
    const copy = moved.clone();
    [copy.name, copy.colormap, copy.opacity] = [name, colormap, 1];
    copy.img = new Uint8Array(fixed.img.length);
    const [nx, ny] = fixed.hdr.dims.slice(1, 3);
    for (let at = 0; at < copy.img.length; at += 1) {
      const x = at % nx, y = Math.floor(at / nx) % ny, z = Math.floor(at / (nx * ny));
      copy.img[at] = value(fixed.img[at], moved.img[at], x, y, z);
    }
    return copy;
  };

  const checkerboard = (fixed, moved) => {
    const [sx, sy, sz] = fixed.hdr.pixDims.slice(1, 4).map((mm) => Math.max(1, Math.round(SQUARE_MM / mm)));
    const odd = (x, y, z) => (Math.floor(x / sx) + Math.floor(y / sy) + Math.floor(z / sz)) % 2;
    return combined(fixed, moved, { name: "checkerboard", colormap: "gray" }, (f, m, x, y, z) => (odd(x, y, z) ? m : f));
  };

  // The middle of the colours where both are the same, their ends at plus and minus the largest difference shown.
  const difference = (fixed, moved) => {
    const [low, high] = facts.windowHu;
    const gain = ((DEPTH / 2 - 1) * (high - low)) / (DEPTH - 1) / facts.differenceHu;
    const colours = { name: "difference", colormap: "difference" };
    const image = combined(fixed, moved, colours, (f, m) =>
      Math.min(DEPTH - 1, Math.max(1, Math.round(DEPTH / 2 + gain * (f - m)))));
    return inWindow(image, facts.windowHu);
  };

  const attach = async (id) => {
    const viewer = new niivue.Niivue(options);
    await viewer.attachToCanvas(byId(id), true);
    for (const [key, map] of Object.entries(facts.maps)) viewer.addColormap(key, mapColours(map.anchors));
    viewer.addColormap("difference", mapColours(facts.balance));
    viewer.setAtlasOutline(1);
    return viewer;
  };

  const start = async () => {
    const views = { fixed: await attach("view-fixed"), moved: await attach("view-moved"), both: await attach("view-both") };
    const made = {}; // images by name, created on first use
    const once = async (name, make) => (made[name] ??= await make());
    const scan = (side, where) => once(`${side} ${where}`, () => load(side));
    const state = { mode: "blend", mix: 0.5, window: facts.windowHu, outlines: new Set() };

    const outlinesOf = (where) => Promise.all([...state.outlines].map((side) =>
      once(`${side}-labels ${where}`, async () => {
        const labels = await load(`${side}-labels`, { opacity: OUTLINE_ONLY });
        labels.hdr.intent_code = LABELS_INTENT;
        labels.setColormapLabel(labelColours());
        return labels;
      })));

    const together = async () => {
      const fixed = inWindow(await scan("fixed", "both"), state.window);
      const moved = inWindow(await scan("moved", "both"), state.window);
      const { mode } = state;
      moved.opacity = state.mix;
      if (mode === "blend") return [fixed, moved];
      if (mode === "checkerboard") {
        return [inWindow(await once(mode, () => checkerboard(fixed, moved)), state.window)];
      }
      if (mode === "difference") return [await once(mode, () => difference(fixed, moved))];
      const { low, high } = facts.maps[mode];
      const bottom = low - (high - low) / (DEPTH - 2);
      return [fixed, await once(mode, () =>
        load(mode, { colormap: mode, opacity: MAP_STRENGTH, cal_min: bottom, cal_max: high }))];
    };

    const put = (view, images) => {
      if (view.volumes.length === 0) view.addVolume(images[0]);
      view.volumes = images;
      [view.back, ...view.overlays] = images;
      view.updateGLVolume();
    };

    const draw = async () => {
      for (const side of ["fixed", "moved"]) {
        put(views[side], [inWindow(await scan(side, side), state.window), ...(await outlinesOf(side))]);
      }
      await drawTogether();
    };

    const drawTogether = async () => {
      put(views.both, [...(await together()), ...(await outlinesOf("both"))]);
      byId("mix").classList.toggle("off", state.mode !== "blend");
      for (const button of document.querySelectorAll("[data-mode]")) {
        const pressed = button.dataset.mode === state.mode;
        button.setAttribute("aria-pressed", String(pressed));
        if (pressed) byId("together").textContent = button.textContent;
      }
      document.body.dataset.shown = state.mode;
    };

    for (const button of document.querySelectorAll("[data-mode]")) {
      button.addEventListener("click", () => {
        state.mode = button.dataset.mode;
        drawTogether();
      });
    }
    byId("mix").querySelector("input").addEventListener("input", (event) => {
      state.mix = event.target.value / 100;
      drawTogether();
    });
    byId("window").addEventListener("change", (event) => {
      state.window = event.target.value.split(" ").map(Number);
      draw();
    });
    for (const box of document.querySelectorAll("[data-outline]")) {
      if (box.checked) state.outlines.add(box.dataset.outline);
      box.addEventListener("change", () => {
        state.outlines[box.checked ? "add" : "delete"](box.dataset.outline);
        draw();
      });
    }
    const all = Object.values(views);
    byId("cross").addEventListener("change", (event) => {
      for (const view of all) view.setCrosshairWidth(event.target.checked ? options.crosshairWidth : 0);
    });
    // NiiVue's world is RAS, the project's LPS.
    const tell = ({ mm }) => {
      byId("place").textContent = `x ${(-mm[0]).toFixed(0)}, y ${(-mm[1]).toFixed(0)}, z ${mm[2].toFixed(0)} mm (LPS).`;
    };
    for (const view of all) {
      view.onLocationChange = tell;
      view.broadcastTo(all.filter((other) => other !== view), { "2d": true, "3d": false });
    }
    await draw();
    window.samereg = { views };
  };

  if (!document.createElement("canvas").getContext("webgl2")) {
    stayStill("the linked viewers need WebGL 2, which this browser does not offer.");
    return;
  }
  byId("viewer").hidden = false;
  try {
    await start();
    byId("stills").hidden = true;
    document.body.dataset.viewers = "ready";
  } catch (error) {
    byId("viewer").hidden = true;
    stayStill(`the linked viewers could not start (${error.message}).`);
  }
})();

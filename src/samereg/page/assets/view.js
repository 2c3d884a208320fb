// The page of `samereg view`: two viewers of three planes on canvases, linked by what the server answers.
// World coordinates are LPS mm; volumes are axis-aligned, so that a voxel is an offset along each axis.

const PLANES = {
  axial: { across: 0, down: 1, through: 2, up: false },
  coronal: { across: 0, down: 2, through: 1, up: true },
  sagittal: { across: 1, down: 2, through: 0, up: true },
};
const ENDS = { axial: ["R", "L", "A", "P"], coronal: ["R", "L", "S", "I"], sagittal: ["A", "P", "S", "I"] };
const COLOURS = { fixed: "#5fb3ff", moving: "#ffb454" };
const OTHER = { fixed: "moving", moving: "fixed" };
const MODES = { n: "none", b: "blend", c: "checkerboard", d: "difference", s: "swipe" };
const CHECK_MM = 24;
const NEAR_MM = 4;
const POLL_MS = 400;

const byId = (id) => document.getElementById(id);
const view = {
  scans: { fixed: null, moving: null, moved: null },
  places: { fixed: null, moving: null },
  zoom: { fixed: 1, moving: 1 },
  centre: { fixed: null, moving: null },
  answer: null,
  pairs: [],
  past: [],
  state: null,
  moved: 0,
};

// Server ---------------------------------------------------------------------------------------------------------

async function get(path) {
  const found = await fetch(path, { cache: "no-store" });
  if (!found.ok) throw new Error((await found.json()).error);
  return found;
}

async function post(path, body) {
  const found = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  if (!found.ok) throw new Error((await found.json()).error);
  return found;
}

async function loadScan(name, about) {
  const found = await get(`volume/${name}?version=${about.version}`);
  const voxels = new Int16Array(await found.arrayBuffer());
  view.scans[name] = { ...about, voxels };
}

async function poll() {
  const state = await (await get("state")).json();
  view.state = state;
  showState(state);
  for (const side of ["fixed", "moving"]) {
    if (state.scans[side] && !view.scans[side]) {
      await loadScan(side, state.scans[side]);
      view.places[side] = middle(view.scans[side]);
      view.centre[side] = middle(view.scans[side]);
      byId(`name-${side}`).textContent = state.scans[side].name;
      draw();
    }
  }
  if (state.scans.moved && state.scans.moved.version !== view.moved) {
    view.moved = state.scans.moved.version;
    await loadScan("moved", state.scans.moved);
    if (byId("compare").value === "none") byId("compare").value = "blend";
    ask("fixed");
    showPairs();
    showState(state);
  }
  document.body.dataset.ready = state.status;
  setTimeout(() => poll().catch(lost), POLL_MS);
}

function lost(error) {
  document.body.dataset.ready = "lost";
  // A request that reaches nobody is a TypeError; whatever else went wrong belongs into the console.
  if (!(error instanceof TypeError && error.message.includes("fetch"))) console.error(error);
  say("The page has lost its server; start samereg view again, or reload the page.", true);
}

let asking = false;
let waiting = null;

/** Asks about the place of one scan; of the questions that come while one is answered, only the last is asked. */
async function ask(side) {
  if (view.state?.status !== "ready" || !view.places[side]) return;
  if (asking) { waiting = side; return; }
  asking = true;
  const [x, y, z] = view.places[side];
  try {
    const found = await (await get(`match?side=${side}&x=${x}&y=${y}&z=${z}`)).json();
    if (waiting === null) showAnswer(found);
  } catch (error) {
    say(error.message, true);
  }
  asking = false;
  if (waiting !== null) {
    const next = waiting;
    waiting = null;
    ask(next);
  }
}

// What is said ---------------------------------------------------------------------------------------------------

function say(words, bad = false) {
  byId("status").textContent = words;
  byId("status").classList.toggle("bad", bad);
}

function showState(state) {
  say(state.error || state.words, Boolean(state.error));
  const bar = byId("progress");
  bar.hidden = state.status === "ready" || state.status === "failed";
  bar.max = Math.max(1, state.total);
  bar.value = state.done;
  const ready = state.status === "ready";
  byId("register").disabled = !ready;
  byId("register").textContent = state.registered ? "Register again" : "Register";
  byId("save").disabled = !ready || !state.registered || !state.output;
  byId("save").title = state.output ? state.output : "start samereg view with -o FOLDER to save";
  byId("keep").disabled = !ready;
  const shown = Boolean(view.scans.moved);
  byId("compare").disabled = !shown;
  byId("share").disabled = !shown || !["blend", "swipe"].includes(byId("compare").value);
}

function showAnswer(found) {
  view.answer = found;
  byId("words").textContent = found.words;
  byId("words").classList.toggle("outside", found.in_view === false);
  const list = byId("matches");
  list.replaceChildren(...found.matches.map((match) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `similarity ${match.similarity.toFixed(2)} at ${spoken(match.place_mm)}`;
    button.addEventListener("click", () => go(OTHER[found.side], match.place_mm, false));
    item.append(button);
    return item;
  }));
  const target = found.registered_mm ?? (found.matches[0] && found.matches[0].place_mm);
  if (byId("linked").checked && target && found.in_view !== false) go(OTHER[found.side], target, false);
  document.body.dataset.answered = String(Number(document.body.dataset.answered ?? 0) + 1);
  draw();
}

const spoken = (place) => place.map((value) => value.toFixed(1)).join(", ") + " mm";

// Places ---------------------------------------------------------------------------------------------------------

const middle = (scan) => scan.origin_mm.map((o, axis) => o + ((scan.size[axis] - 1) / 2) * scan.spacing_mm);

function inside(scan, place) {
  return place.map((value, axis) => {
    const end = scan.origin_mm[axis] + (scan.size[axis] - 1) * scan.spacing_mm;
    return Math.min(end, Math.max(scan.origin_mm[axis], value));
  });
}

function go(side, place, asks) {
  if (!view.scans[side]) return;
  view.places[side] = inside(view.scans[side], place);
  if (view.zoom[side] > 1 && !asks) view.centre[side] = view.places[side].slice();
  byId(`place-${side}`).textContent = spoken(view.places[side]);
  draw();
  if (asks) ask(side);
}

function step(side, axis, voxels) {
  const place = view.places[side].slice();
  place[axis] += voxels * view.scans[side].spacing_mm;
  go(side, place, true);
}

function zoom(side, factor) {
  view.zoom[side] = Math.min(12, Math.max(1, view.zoom[side] * factor));
  view.centre[side] = view.zoom[side] === 1 ? middle(view.scans[side]) : view.places[side].slice();
  draw();
}

// Pictures -------------------------------------------------------------------------------------------------------

let drawing = false;

function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    for (const side of ["fixed", "moving"]) {
      if (view.scans[side]) for (const plane of Object.keys(PLANES)) drawPlane(side, plane);
    }
  });
}

/** Scale and offset of a plane on its canvas: pixel = middle + (mm - centre) * scale. */
function layout(side, plane, canvas) {
  const { across, down, up } = PLANES[plane];
  const scan = view.scans[side];
  const wide = scan.size[across] * scan.spacing_mm;
  const high = scan.size[down] * scan.spacing_mm;
  const scale = Math.min(canvas.width / wide, canvas.height / high) * view.zoom[side];
  const sign = up ? -1 : 1;
  const centre = view.centre[side];
  return {
    scale,
    x: (mm) => canvas.width / 2 + (mm - centre[across]) * scale,
    y: (mm) => canvas.height / 2 + sign * (mm - centre[down]) * scale,
    place: (px, py) => {
      const place = view.places[side].slice();
      place[across] = centre[across] + (px - canvas.width / 2) / scale;
      place[down] = centre[down] + (sign * (py - canvas.height / 2)) / scale;
      return place;
    },
  };
}

const sheet = document.createElement("canvas");

function drawPlane(side, plane) {
  const canvas = byId(`${side}-${plane}`);
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((n) => Math.max(1, Math.round(n * ratio)));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#000";
  pen.fillRect(0, 0, width, height);
  const at = layout(side, plane, canvas);
  paintSlice(pen, side, plane, at);
  paintMarks(pen, side, plane, at, ratio);
  paintLetters(pen, plane, width, height, ratio);
}

function paintSlice(pen, side, plane, at) {
  const { across, down, through, up } = PLANES[plane];
  const scan = view.scans[side];
  const [columns, rows] = [scan.size[across], scan.size[down]];
  Object.assign(sheet, { width: columns, height: rows });
  const brush = sheet.getContext("2d");
  const image = brush.createImageData(columns, rows);
  const shades = shadesOf(side, plane);
  const strides = [1, scan.size[0], scan.size[0] * scan.size[1]];
  const k = Math.round((view.places[side][through] - scan.origin_mm[through]) / scan.spacing_mm);
  const start = k * strides[through];
  for (let row = 0, pixel = 0; row < rows; row += 1) {
    const line = start + (up ? rows - 1 - row : row) * strides[down];
    for (let column = 0; column < columns; column += 1, pixel += 4) {
      const shade = shades(line + column * strides[across], column, row, columns);
      image.data[pixel] = image.data[pixel + 1] = image.data[pixel + 2] = shade;
      image.data[pixel + 3] = 255;
    }
  }
  brush.putImageData(image, 0, 0);
  const half = scan.spacing_mm / 2;
  const left = at.x(scan.origin_mm[across] - half);
  const far = scan.origin_mm[down] + (rows - 1) * scan.spacing_mm + half;
  const top = up ? at.y(far) : at.y(scan.origin_mm[down] - half);
  pen.imageSmoothingEnabled = true;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(sheet, left, top, columns * scan.spacing_mm * at.scale, rows * scan.spacing_mm * at.scale);
}

/** Shade of a voxel by its number: of one scan, or of the fixed scan together with the moved one. */
function shadesOf(side) {
  const [low, high] = byId("window").value.split(" ").map(Number);
  const gain = 255 / (high - low);
  const shade = (value) => (value - low) * gain;  // clamped by the image data
  const own = view.scans[side].voxels;
  const mode = byId("compare").value;
  if (side !== "fixed" || mode === "none" || !view.scans.moved) return (voxel) => shade(own[voxel]);
  const moved = view.scans.moved.voxels;
  const share = Number(byId("share").value);
  const square = Math.max(1, Math.round(CHECK_MM / view.scans.fixed.spacing_mm));
  const clamp = (value) => Math.min(255, Math.max(0, value));
  return {
    blend: (voxel) => (1 - share) * clamp(shade(own[voxel])) + share * clamp(shade(moved[voxel])),
    checkerboard: (voxel, column, row) => shade(
      (Math.floor(column / square) + Math.floor(row / square)) % 2 ? moved[voxel] : own[voxel]),
    difference: (voxel) => 128 + 0.5 * (clamp(shade(own[voxel])) - clamp(shade(moved[voxel]))),
    swipe: (voxel, column, _row, columns) => shade(column < share * columns ? moved[voxel] : own[voxel]),
  }[mode];
}

function paintMarks(pen, side, plane, at, ratio) {
  const { across, down, through } = PLANES[plane];
  const place = view.places[side];
  const spot = (mm) => [at.x(mm[across]), at.y(mm[down])];
  const near = (mm) => Math.abs(mm[through] - place[through]) <= NEAR_MM;
  const [x, y] = spot(place);
  const gap = 7 * ratio;
  pen.lineWidth = ratio;
  pen.strokeStyle = `${COLOURS[side]}b0`;
  pen.beginPath();
  for (const [ax, ay, bx, by] of [
    [0, y, x - gap, y], [x + gap, y, pen.canvas.width, y], [x, 0, x, y - gap], [x, y + gap, x, pen.canvas.height],
  ]) { pen.moveTo(ax, ay); pen.lineTo(bx, by); }
  pen.stroke();
  pen.font = `600 ${12 * ratio}px system-ui, sans-serif`;
  for (const pair of view.pairs) if (near(pair[side])) paintDot(pen, spot(pair[side]), pair.name, "#7ee787", ratio);
  const answer = view.answer;
  if (!answer || OTHER[answer.side] !== side || answer.in_view === false) return;
  answer.matches.forEach((match, number) => {
    if (near(match.place_mm)) paintDot(pen, spot(match.place_mm), String(number + 1), "#d2a8ff", ratio);
  });
  const centre = answer.registered_mm ?? answer.matches[0]?.place_mm;
  if (centre && near(centre)) {
    pen.strokeStyle = "#ffffffd0";
    pen.lineWidth = 1.5 * ratio;
    pen.beginPath();
    pen.arc(...spot(centre), Math.max(2 * ratio, answer.expected_mm * at.scale), 0, 2 * Math.PI);
    pen.stroke();
  }
}

function paintDot(pen, [x, y], name, colour, ratio) {
  pen.fillStyle = colour;
  pen.beginPath();
  pen.arc(x, y, 3 * ratio, 0, 2 * Math.PI);
  pen.fill();
  pen.fillText(name, x + 6 * ratio, y - 6 * ratio);
}

function paintLetters(pen, plane, width, height, ratio) {
  const [left, right, top, bottom] = ENDS[plane];
  pen.fillStyle = "#c4cedb";
  pen.font = `600 ${12 * ratio}px system-ui, sans-serif`;
  const edge = 7 * ratio;
  pen.textBaseline = "middle";
  pen.fillText(left, edge, height / 2);
  pen.fillText(right, width - edge - pen.measureText(right).width, height / 2);
  pen.fillText(top, width / 2 - 4 * ratio, edge + 4 * ratio);
  pen.fillText(bottom, width / 2 - 4 * ratio, height - edge - 4 * ratio);
  pen.textBaseline = "alphabetic";
}

// Landmarks ------------------------------------------------------------------------------------------------------

function change(pairs) {
  view.past.push(view.pairs);
  view.pairs = pairs;
  showPairs();
}

function showPairs() {
  byId("undo").disabled = !view.past.length;
  for (const button of byId("files").querySelectorAll("button")) button.disabled = !view.pairs.length;
  byId("pairs").replaceChildren(...view.pairs.map((pair, number) => {
    const row = document.createElement("tr");
    const name = document.createElement("input");
    name.value = pair.name;
    name.setAttribute("aria-label", `name of landmark ${number + 1}`);
    name.addEventListener("change", () => change(view.pairs.with(number, { ...pair, name: name.value })));
    const kept = view.state?.landmarks.find((each) => each.name === pair.name);
    const told = kept ? `${kept.start_mm.toFixed(0)} → ${kept.left_mm.toFixed(1)} mm` : "not used yet";
    const show = button("show", () => { go("fixed", pair.fixed, false); go("moving", pair.moving, false); });
    const drop = button("×", () => change(view.pairs.filter((_, other) => other !== number)));
    drop.setAttribute("aria-label", `remove landmark ${pair.name}`);
    for (const content of [[name], [told], [show, drop]]) {
      const cell = document.createElement("td");
      cell.append(...content);
      row.append(cell);
    }
    return row;
  }));
  draw();
}

function button(text, action) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", action);
  return made;
}

function keep() {
  if (view.state?.status !== "ready") return;
  let number = view.pairs.length + 1;
  while (view.pairs.some((pair) => pair.name === `place ${number}`)) number += 1;
  const [fixed, moving] = ["fixed", "moving"].map((side) => view.places[side].slice());
  change([...view.pairs, { name: `place ${number}`, fixed, moving }]);
}

function undo() {
  if (!view.past.length) return;
  view.pairs = view.past.pop();
  showPairs();
}

async function download(side, format) {
  const found = await post(`points/${side}/${format}`, { pairs: view.pairs });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await found.blob());
  link.download = `${side}.${format === "markups" ? "mrk.json" : "csv"}`;
  link.click();
  URL.revokeObjectURL(link.href);
}

async function readFiles(files) {
  const [first, second] = [...files].sort((a, b) => Number(b.name.includes("fixed")) - Number(a.name.includes("fixed")));
  if (files.length !== 2) throw new Error("Choose two files: the landmarks of the fixed and of the moving scan.");
  const texts = await Promise.all([first.text(), second.text()]);
  const body = { fixed: { name: first.name, text: texts[0] }, moving: { name: second.name, text: texts[1] } };
  change((await (await post("points/read", body)).json()).pairs);
}

// Hands ----------------------------------------------------------------------------------------------------------

function listen(side, plane) {
  const canvas = byId(`${side}-${plane}`);
  const point = (event) => {
    if (!view.scans[side]) return;
    const box = canvas.getBoundingClientRect();
    const ratio = canvas.width / box.width;
    const at = layout(side, plane, canvas);
    go(side, at.place((event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio), true);
  };
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); point(event); });
  canvas.addEventListener("pointermove", (event) => { if (event.buttons & 1) point(event); });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (!view.scans[side]) return;
    if (event.ctrlKey) zoom(side, event.deltaY < 0 ? 1.2 : 1 / 1.2);
    else step(side, PLANES[plane].through, event.deltaY < 0 ? 1 : -1);
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => onCanvasKey(event, side, plane));
}

function onCanvasKey(event, side, plane) {
  if (!view.scans[side]) return;
  const { across, down, through, up } = PLANES[plane];
  const moves = {
    ArrowLeft: [across, -1], ArrowRight: [across, 1], ArrowUp: [down, up ? 1 : -1], ArrowDown: [down, up ? -1 : 1],
    PageUp: [through, 1], PageDown: [through, -1],
  };
  if (moves[event.key]) { event.preventDefault(); step(side, ...moves[event.key]); }
  if (event.key === "+" || event.key === "=") zoom(side, 1.25);
  if (event.key === "-") zoom(side, 0.8);
  if (event.key === "0") zoom(side, 0);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (["INPUT", "SELECT"].includes(event.target.tagName) && event.target.type !== "checkbox") return;
  const key = event.key.toLowerCase();
  const windows = byId("window");
  if ("1234".includes(key) && key) windows.selectedIndex = Number(key) - 1;
  if (MODES[key] && view.scans.moved) { byId("compare").value = MODES[key]; showState(view.state); }
  if (key === "l") byId("linked").checked = !byId("linked").checked;
  if (key === "p") keep();
  if (key === "u") undo();
  if (key === "?") help();
  draw();
}

function help() {
  const shown = byId("help").toggleAttribute("hidden");
  byId("help-button").setAttribute("aria-expanded", String(!shown));
}

const told = (work) => async (...given) => {
  try { await work(...given); } catch (error) { say(error.message, true); }
};

for (const side of ["fixed", "moving"]) for (const plane of Object.keys(PLANES)) listen(side, plane);
document.addEventListener("keydown", onKey);
window.addEventListener("resize", draw);
for (const id of ["window", "share"]) byId(id).addEventListener("input", draw);
byId("compare").addEventListener("input", () => { showState(view.state); draw(); });
byId("help-button").addEventListener("click", help);
byId("keep").addEventListener("click", keep);
byId("undo").addEventListener("click", undo);
byId("register").addEventListener("click", told(async () => {
  byId("register").disabled = true;
  await post("register", { pairs: view.pairs });
}));
byId("save").addEventListener("click", told(async () => { await post("save", {}); }));
byId("read").addEventListener("change", told(async (event) => { await readFiles(event.target.files); }));
byId("files").addEventListener("click", told(async (event) => {
  const { side, format } = event.target.dataset;
  if (side) await download(side, format);
}));
window.sameregView = view;
poll().catch(lost);

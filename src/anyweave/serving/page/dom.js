// Elements without markup: text is always a text node, so nothing a model or a file says can
// become a tag.

/** An element. `props` are attributes; `on…` are listeners; true and false set or leave out. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  setAll(element, props);
  element.append(...children.flat(2).filter(Boolean));
  return element;
}

function setAll(element, props) {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
}

const SVG = "http://www.w3.org/2000/svg";

/** The same for SVG. */
export function svg(tag, props = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  setAll(element, props);
  element.append(...children);
  return element;
}

/** A button with an icon whose name is said, and shown when it is pointed at. */
export function iconButton(shape, label, onclick, props = {}) {
  return h(
    "button",
    { type: "button", class: "icon-button", "aria-label": label, title: label, onclick, ...props },
    icon(shape),
  );
}

const SHAPES = {
  plus: "M12 5v14M5 12h14",
  mic: "M12 3a3 3 0 0 1 3 3v5a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3zM5.5 11a6.5 6.5 0 0 0 13 0M12 17.5V21",
  camera: "M4 8h3l2-3h6l2 3h3v11H4zM12 10a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7z",
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M7 7h10v10H7z",
  sliders:
    "M4 8h7M17 8h3M4 16h3M13 16h7M14 5.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5zM10 13.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z",
  menu: "M4 7h16M4 12h16M4 17h16",
  again: "M19 8a8 8 0 1 0 1 6M20 4v5h-5",
  edit: "M4 20l1-4L16 5l3 3L8 19zM14 7l3 3",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  save: "M12 4v11M7 11l5 5 5-5M5 20h14",
  bin: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  pin: "M12 21v-7M7 14h10l-2-4V4H9v6z",
  close: "M6 6l12 12M18 6L6 18",
  weave: "M4 9h5M13 9h7M4 15h7M17 15h3M9 4v7M9 17v3M15 4v3M15 13v7",
  left: "M14 6l-6 6 6 6",
  right: "M10 6l6 6-6 6",
  play: "M8 5l11 7-11 7z",
  pause: "M8 5v14M16 5v14",
  auto: "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",
  light:
    "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.5 1.5M17.5 17.5L19 19M5 19l1.5-1.5M17.5 6.5L19 5",
  dark: "M19 14.5A8 8 0 0 1 9.5 5a8 8 0 1 0 9.5 9.5z",
  text: "M5 6h14M12 6v13",
  image: "M4 5h16v14H4zM4 16l5-5 5 5 3-3 3 3M15.5 8.5h.01",
  audio: "M4 10v4M8 6v12M12 9v6M16 4v16M20 10v4",
  video: "M4 6h16v12H4zM10 9l5 3-5 3z",
  file: "M6 3h8l4 4v14H6zM14 3v4h4",
};

/** A line drawing, invisible to screen readers. */
export function icon(shape) {
  const drawn = svg("svg", {
    viewBox: "0 0 24 24",
    class: `icon icon-${shape}`,
    "aria-hidden": "true",
  });
  drawn.append(svg("path", { d: SHAPES[shape] }));
  return drawn;
}

/** Tell a screen reader, without moving the focus. */
export function announce(text) {
  document.getElementById("status").textContent = text;
}

/** Tell everybody, above the message field; an empty text takes it away. */
export function notice(text) {
  const place = document.getElementById("notice");
  place.textContent = text;
  place.hidden = !text;
}

/** A modal question; resolves to whether it was answered with `yes`. */
export function confirmed(question, yes) {
  return new Promise((resolve) => {
    const box = h(
      "dialog",
      {
        class: "dialog small",
        "aria-label": question,
        onclose: () => {
          resolve(box.returnValue === "yes");
          box.remove();
        },
      },
      h(
        "form",
        { method: "dialog" },
        h("p", {}, question),
        h(
          "p",
          { class: "dialog-buttons" },
          h("button", { value: "no", class: "button" }, "Keep"),
          h("button", { value: "yes", class: "button danger" }, yes),
        ),
      ),
    );
    document.body.append(box);
    box.showModal();
  });
}

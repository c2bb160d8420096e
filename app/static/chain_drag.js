// Cards that follow the hand: the card moves with the pointer, the others make room, the order changes on release.

// Which place a card's middle at `y` takes among the tops and heights of all cards. Pure.
export function dropPlace(boxes, from, y) {
  let place = 0;
  boxes.forEach((b, i) => i !== from && y > b.top + b.height / 2 && place++);
  return place;
}

export function drag(e, list, from, done) {
  const cards = [...list.children], boxes = cards.map((c) => ({ top: c.offsetTop, height: c.offsetHeight })), card = cards[from];
  const start = e.clientY, gap = boxes[1] ? boxes[1].top - boxes[0].top - boxes[0].height : 0, grip = e.currentTarget;
  let to = from;
  card.classList.add("held");
  grip.setPointerCapture(e.pointerId);
  const move = (ev) => {
    const by = ev.clientY - start;
    to = dropPlace(boxes, from, boxes[from].top + boxes[from].height / 2 + by);
    cards.forEach((c, i) => {
      const shift = i === from ? by : i > from && i <= to ? -(boxes[from].height + gap) : i < from && i >= to ? boxes[from].height + gap : 0;
      c.style.transform = shift ? `translateY(${shift}px)` : "";
    });
  };
  const end = (ev) => {
    for (const [name, f] of [["pointermove", move], ["pointerup", end], ["pointercancel", end], ["lostpointercapture", end]]) grip.removeEventListener(name, f);
    for (const c of cards) c.style.transform = "";
    card.classList.remove("held");
    if (ev.type === "pointerup" && to !== from) done(to);
  };
  for (const [name, f] of [["pointermove", move], ["pointerup", end], ["pointercancel", end], ["lostpointercapture", end]]) grip.addEventListener(name, f);
}

/** What things cost: the rules, without a host. */

/** From this count on, a thing costs a tenth less. */
export const MANY = 10;

/** The cost of so many of a thing, or null where there is no price. */
export function cost(prices, item, count = 1) {
  if (!Object.hasOwn(prices, item)) return null;
  const full = prices[item] * count;
  return count >= MANY ? full * 0.9 : full;
}

/** The steps that are passed on the way from one sum to another. */
export function passed(before, after, step) {
  const first = Math.floor(before / step) + 1;
  const last = Math.floor(after / step);
  return last < first ? [] : Array.from({ length: last - first + 1 }, (_, at) => (first + at) * step);
}

/** Strokes on a field of 16 by 16, in the colour of the text around them. */
const PATHS = {
  gauge: 'M2.5 12a6 6 0 1 1 11 0M8 10l3-4',
  tree: 'M3 3h4v3H3zM9 10h4v3H9zM5 6v5.5h4',
  chat: 'M2.5 3h11v8h-6L4.5 13.5V11h-2z',
  search: 'M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.5 10.5 14 14',
  plus: 'M8 3v10M3 8h10',
  out: 'M9 3H3v10h6M7 8h7M11.5 5.5 14 8l-2.5 2.5',
  copy: 'M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3',
  check: 'M3 8.5 6.5 12 13 4.5',
  close: 'M4 4l8 8M12 4l-8 8',
  right: 'M6 3.5 10.5 8 6 12.5',
  down: 'M3.5 6 8 10.5 12.5 6',
  up: 'M3.5 10 8 5.5 12.5 10',
  stop: 'M4 4h8v8H4z',
  send: 'M8 13.5V3M3.5 7.5 8 3l4.5 4.5',
  pencil: 'M3 13l.5-3L10.5 3 13 5.5 6 12.5z',
  bin: 'M3 4.5h10M6.5 4.5v-2h3v2M4.5 4.5l.5 9h6l.5-9',
  fork: 'M4.5 3v10M4.5 8.5c5 0 7-1.5 7-5.5',
  save: 'M8 2.5v8M4.5 7 8 10.5 11.5 7M3 13.5h10',
  more: 'M3.5 8h.01M8 8h.01M12.5 8h.01',
  why: 'M5.5 6a2.5 2.5 0 1 1 3.5 2.300c-.7.3-1 .8-1 1.700M8 12.700h.01',
  key: 'M9.5 6.5a3 3 0 1 1-3-3 3 3 0 0 1 3 3zM8.700 8.700 14 14M11.5 11.5l1.5-1.5',
} as const;

export type IconName = keyof typeof PATHS;

/** Decoration: what it means stands beside it, or in the label of its button. */
export const Icon = ({ name }: { name: IconName }) => (
  <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
    <path d={PATHS[name]} />
  </svg>
);

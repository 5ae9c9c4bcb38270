import type { ComponentChildren } from 'preact';

export type Tone = 'plain' | 'good' | 'warn' | 'bad' | 'info' | 'accent';

/** A word with a colour; the word alone says it all. `live`: it beats softly. */
export const Badge = ({
  tone = 'plain',
  live = false,
  dot = false,
  children,
}: {
  tone?: Tone;
  live?: boolean;
  dot?: boolean;
  children: ComponentChildren;
}) => (
  <span class={`badge badge-${tone}${live ? ' badge-live' : ''}`}>
    {dot && <span class="dot" aria-hidden="true" />}
    {children}
  </span>
);

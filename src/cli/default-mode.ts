import type { DefaultMode } from '../config/schema.ts';

/** What the flags of a run say about it. */
export interface ModeFlags {
  mode?: string;
  auto?: boolean;
  dangerous?: boolean;
  yolo?: boolean;
}

/**
 * The flags of a run with what `defaultMode` of the configuration adds to them. A flag for what may be done replaces the default's;
 * `--mode` replaces a default that only reads.
 */
export const withDefaultMode = <F extends ModeFlags>(
  flags: F,
  standard: DefaultMode,
  usual: string,
): F & { mode: string } => {
  const said = Boolean(flags.auto || flags.dangerous || flags.yolo);
  const reads = standard === 'plan' || standard === 'review' || standard === 'research';
  return {
    ...flags,
    mode: flags.mode ?? (reads && !said ? standard : usual),
    ...(!said && standard === 'auto' ? { auto: true } : {}),
    ...(!said && standard === 'dangerous' ? { dangerous: true } : {}),
  };
};

/** `ci` asks nobody, even at a terminal. */
export const asksNobody = (standard: DefaultMode): boolean => standard === 'ci';

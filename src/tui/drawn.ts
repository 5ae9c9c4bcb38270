import { fitted, type Row } from './text.ts';

/** Something that can be opened and folded. */
export interface Fold {
  readonly id: string;
  readonly byDefault: boolean;
}

/** Whether it is open now. */
export type IsOpen = (id: string, byDefault: boolean) => boolean;

/** A row of the conversation, and what a click on it opens or folds. */
export interface Drawn {
  readonly row: Row;
  readonly fold: Fold | null;
}

export const MARGIN = '  ';

/** Never wider than the screen: what is drawn beyond it would come back on its next row. */
export const drawn = (rows: readonly Row[], width: number, fold: Fold | null = null): Drawn[] =>
  rows.map((row) => ({ row: fitted(row, width), fold }));

export const indented = (row: Row): Row => (row.length === 0 ? row : [[MARGIN, 'plain'], ...row]);

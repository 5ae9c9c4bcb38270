/** Writes a model file with random weights; the same bytes for the same seed. */
export function writeTinyGguf(file: string, seed?: number): void;

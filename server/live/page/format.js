/** Numbers as a person reads them; what is not known is a dash. */

export const UNKNOWN = "–";

function known(format) {
  return (value) => (value === null || value === undefined ? UNKNOWN : format(value));
}

function digits(value) {
  const size = Math.abs(value);
  if (size >= 100 || value === 0) return value.toFixed(0);
  return value.toFixed(size >= 10 ? 1 : 2);
}

/** A count per second, without its unit. */
export const rate = known((value) => digits(value));

export const perSecond = known((value) => `${digits(value)}/s`);

/** Seconds; below one as milliseconds. */
export const duration = known((seconds) => {
  if (seconds >= 1) return `${digits(seconds)} s`;
  const milliseconds = seconds * 1e3;
  if (milliseconds === 0) return "0 ms";
  if (milliseconds < 0.05) return "<0.1 ms";
  return milliseconds >= 10 ? `${milliseconds.toFixed(0)} ms` : `${milliseconds.toFixed(1)} ms`;
});

/** A share; what is there is never shown as 0 %. */
export const percent = known((share) => {
  const value = share * 100;
  if (value > 0 && value < 0.1) return "<0.1 %";
  return `${value >= 10 || value === 0 ? value.toFixed(0) : value.toFixed(1)} %`;
});

export const count = known((value) => value.toLocaleString("en"));

/** Processor cores. */
export const cores = known((value) => (value === 0 ? "0" : value.toFixed(2)));

export const batch = known((value) => (Number.isInteger(value) ? String(value) : value.toFixed(1)));

export const bytes = known((value) => {
  const mebibytes = value / 2 ** 20;
  return mebibytes < 1000 ? `${mebibytes.toFixed(0)} MiB` : `${(mebibytes / 1024).toFixed(2)} GiB`;
});

/** Unix time in seconds as a clock's. */
export function clock(time, seconds = true) {
  const parts = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return new Date(time * 1e3).toLocaleTimeString("en", seconds ? { ...parts, second: "2-digit" } : parts);
}

/** How long something has lasted. */
export function age(seconds) {
  if (seconds < 120) return `${Math.max(0, seconds).toFixed(0)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400)} days`;
}

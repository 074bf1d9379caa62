/** What kinds of events mean to the eye. Elsewhere: their names (lockcore/core/events.py). */

export const TONES = new Map([
  ["died", "bad"], ["fenced", "bad"], ["gap", "bad"], ["refused", "warn"], ["expired", "warn"], ["left", "warn"],
  ["view", "view"], ["settled", "view"], ["joined", "view"], ["unfenced", "view"], ["promoted", "move"],
  ["demoted", "move"], ["transferred", "move"], ["readmitted", "move"], ["operator", "view"], ["migrated", "move"],
  ["range-migrated", "move"], ["range-promoted", "move"], ["range-demoted", "move"], ["range-received", "move"], ["lapsed", "warn"],
]);

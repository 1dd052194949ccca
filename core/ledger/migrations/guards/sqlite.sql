CREATE TRIGGER IF NOT EXISTS coupon_changes_kept_u BEFORE UPDATE ON coupon_changes BEGIN SELECT RAISE(ABORT, 'coupon_changes is append-only'); END
CREATE TRIGGER IF NOT EXISTS coupon_changes_kept_d BEFORE DELETE ON coupon_changes BEGIN SELECT RAISE(ABORT, 'coupon_changes is append-only'); END
CREATE TRIGGER IF NOT EXISTS coupon_change_ends_kept_u BEFORE UPDATE ON coupon_change_ends BEGIN SELECT RAISE(ABORT, 'coupon_change_ends is append-only'); END
CREATE TRIGGER IF NOT EXISTS coupon_change_ends_kept_d BEFORE DELETE ON coupon_change_ends BEGIN SELECT RAISE(ABORT, 'coupon_change_ends is append-only'); END

CREATE TRIGGER coupon_changes_kept_u BEFORE UPDATE ON coupon_changes FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'coupon_changes is append-only'
CREATE TRIGGER coupon_changes_kept_d BEFORE DELETE ON coupon_changes FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'coupon_changes is append-only'
CREATE TRIGGER coupon_change_ends_kept_u BEFORE UPDATE ON coupon_change_ends FOR EACH ROW IF NEW.coupon_id <> OLD.coupon_id OR NEW.revision <> OLD.revision OR NEW.outcome <> OLD.outcome OR NEW.ended_at <> OLD.ended_at THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'coupon_change_ends is append-only'; END IF
CREATE TRIGGER coupon_change_ends_kept_d BEFORE DELETE ON coupon_change_ends FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'coupon_change_ends is append-only'
